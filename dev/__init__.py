"""The local stack: a real PostgreSQL, Kafka and schema registry as ordinary processes."""
