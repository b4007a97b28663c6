"""Bytes at rest; one module is one page of docs/formats. Pure."""
