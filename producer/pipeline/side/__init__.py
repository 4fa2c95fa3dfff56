"""The topics beside the tables'."""
