"""What `check` looks at, server by server."""
