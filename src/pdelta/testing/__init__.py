"""Shipped test support: contract suites, fail points, a fake clock."""
