"""The use cases of SQL deltas, one file a command."""
