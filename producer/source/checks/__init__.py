"""What `check` looks at in PostgreSQL, a room for each subject; `run` shares `preflight`."""
