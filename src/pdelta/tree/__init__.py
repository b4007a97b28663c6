"""Directories as values: ignore rules, differences, recipes and a safe order. Pure."""
