"""The selected tables: their shapes, plans, what is remembered and refused of them."""
