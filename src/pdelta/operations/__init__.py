"""The kinds of delta: each implements the five verbs, and none knows another."""
