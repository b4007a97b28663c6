"""Directory trees on this machine: scanning, staging, committing, undo data, safe paths."""
