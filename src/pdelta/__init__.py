"""Project Delta Script: calculate, execute and reverse deltas."""

__version__ = "0.1.0"
__all__ = ["__version__"]
