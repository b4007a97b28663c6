"""Pairs roll-outs of SQL deltas with Alembic and node-pg-migrate: whole processes, on one server, in one run.

Run ``make bench-sql``, or ``python -m benchmarks.sql --help``. The method is explained in
``docs/explanation/benchmarks.md``; what the product does is never changed from here.
"""
