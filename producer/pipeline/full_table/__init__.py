"""replication.method=FULL_TABLE: every run copies every table, and deletes what has gone."""
