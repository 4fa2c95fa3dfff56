"""PostgreSQL as the oracle: values of every type, and what the server itself says of each."""
