"""The benchmark: one command, beside a reference, in one run."""
