"""Stage one: bytes out of PostgreSQL. Knows sockets, slots and snapshots; not Avro, not Kafka."""
