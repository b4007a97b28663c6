"""Pairs pdelta with rsync over one sshd on loopback and compares wall time, wire bytes, CPU and memory.

Run ``make bench``, or ``python -m benchmarks --help``. The method is explained
in ``docs/explanation/benchmarks.md``; what the product does is never changed
from here.
"""
