"""Bytes to chunks: content-defined cuts, prediction from an earlier chunk list, fine cuts. Pure."""
