"""The keys that a topic holds, compared with what it should hold."""
