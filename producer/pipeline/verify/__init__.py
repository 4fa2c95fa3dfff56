"""Tables compared with their topics: docs/DESIGN.md, "Verify"."""
