"""The publications that pgoutput publishes by: what there is, what is to be done, doing it."""
