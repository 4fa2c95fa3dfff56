"""Rows as a real server gave them, with what became of them: one folder a case, named by its oddity.

`make golden` captures them again; the difference is reviewed like code. tests/unit/test_golden.py replays them.
"""
