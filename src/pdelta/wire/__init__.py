"""Bytes in motion: frames, and the session as a table without I/O. Pure."""
