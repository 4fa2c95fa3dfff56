"""The stages put together: the only package that knows them all."""
