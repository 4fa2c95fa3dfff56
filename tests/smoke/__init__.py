"""`make smoke`: faults on the real stack, then a count of what was lost."""
