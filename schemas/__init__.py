"""The fixed Avro records, shipped in the wheel as `producer.schemas`."""
