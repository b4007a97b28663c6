"""``python -m pdelta`` is the ``pdelta`` command."""

import sys

from pdelta.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
