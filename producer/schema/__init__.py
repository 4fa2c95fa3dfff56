"""Stage three: a relation becomes a topic, Avro schemas with their ids, and a plan."""
