"""What a host is asked to execute, and the few bytes that carry the first stage there.

Called by ``transports.contact`` and by whoever builds an agent; reads no file but
the stage's own source.
"""

import zlib
from typing import Final

LOADER: Final = (
    "import sys,zlib;r=sys.stdin.buffer.raw;n=int(r.readline(99).split()[1]);b=bytes();"
    'exec("while n>len(b):b+=r.read(n-len(b))or sys.exit(75)");s=zlib.decompress(b);exec(s)'
)
"""Reads ``#pdelta-stage LENGTH`` and that many bytes, not one more, and executes them.

It holds no quote of the one kind, backslash, exclamation mark, dollar or newline:
sh, bash, csh and fish all hand it on unchanged between single quotes.
"""

PYTHON_OPTIONS: Final = ("-I", "-S", "-X", "utf8")
"""No PYTHON* variable, user folder, site package or locale has a say."""

REMOTE_COMMAND: Final = f"python3 {' '.join(PYTHON_OPTIONS)} -c '{LOADER}'"


def compress_stage() -> bytes:
    """Give the first stage's source without docstrings, annotations and comments, as zlib data."""
    import ast
    from importlib import resources

    source = resources.files("pdelta.transports").joinpath("stage.py").read_text("utf-8")
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
    text = ast.unparse(tree).replace("    ", " ")
    return zlib.compress(text.encode(), 9)
