"""Stage two: what messages mean. Pure: no socket, clock, log, thread, environment or driver."""
