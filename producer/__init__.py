"""pg-producer: PostgreSQL tables and their changes, as Avro on Kafka topics."""

__version__ = "0.1.0"
