"""What finding out that there is nothing to do may not pay for."""

import subprocess
import sys


def test_adapter_when_imported_then_sqlite_is_not() -> None:
    code = "import sys, pdelta.databases.sqlite.database; print({'sqlite3', 'glob', 'urllib.parse'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stdout + done.stderr
