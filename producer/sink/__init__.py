"""The stage that hands bytes to Kafka and reports each ack."""
