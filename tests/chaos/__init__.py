"""Chaos: the whole service under kills, stops and faults, and what has to be true after each.

`make chaos` (`python -m tests.chaos --seed 7 --minutes 10`) starts a real Label Studio behind a
faulty proxy, PostgreSQL or SQLite, two workers, the web process, and people who label. It is no
part of the tests that run by themselves.
"""
