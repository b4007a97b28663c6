"""Delta files of other tools, read as they are into the same ``Script``: one module a tool, and no tool is executed."""
