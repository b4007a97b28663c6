"""Deltas of SQL in many tenants: the five verbs, each for one tenant or for thousands."""
