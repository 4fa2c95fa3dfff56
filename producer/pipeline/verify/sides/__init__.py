"""The two sides of a comparison: a table under a snapshot, and its topic as of that."""
