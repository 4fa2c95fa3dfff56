"""Rows as a real server gave them, with what became of them: one folder a case, named by its oddity.

Beside them `streams`: what pgoutput of each server version says of one history. `make golden` captures all again; the
difference is reviewed like code. tests/unit/test_golden.py and test_golden_streams.py replay them.
"""
