"""The benchmark: one command, beside the limits, in one run."""
