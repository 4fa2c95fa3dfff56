"""Whether the slot can go on: what became of it, and how much WAL it holds back."""
