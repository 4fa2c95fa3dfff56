"""Copying tables: the way to where a stream begins, and readings beside it."""
