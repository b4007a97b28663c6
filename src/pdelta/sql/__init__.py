"""SQL text as values: tokens, statements, one delta's script, the order of many. Pure, and connects to nothing."""
