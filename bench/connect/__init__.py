"""Kafka Connect for the benchmark's peer: a worker, what is plugged into it, how its connector is set."""
