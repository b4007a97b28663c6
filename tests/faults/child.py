"""One command on one tree in a process of its own, which may be killed: ``child.py VERB SOURCE DEST [FAILPOINT]``.

Prints ``begun`` once it is about to act, so that whoever kills it at random does not only hit the imports.
"""

import sys
from pathlib import Path

from pdelta.testing.failpoints import parse_failpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fixtures.tree_runs import opened, push, roll_back


def main() -> None:
    """Do what the arguments say."""
    verb, source, dest, *rest = sys.argv[1:]
    failpoint = parse_failpoint(rest[0] if rest else "")
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    if verb in {"push", "patch"}:
        push(Path(source), Path(dest), failpoint, inplace=verb == "patch")
    elif verb == "rollback":
        roll_back(Path(dest), failpoint=failpoint)
    else:
        with opened(Path(dest), failpoint=failpoint) as operation:
            operation.recover()


if __name__ == "__main__":
    main()
