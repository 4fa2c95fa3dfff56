"""`make chaos`: faults under load on the real stack, then a count of what was lost, out of order, repeated."""
