"""Looking up references: the environment, files and commands, without a word of what they hold."""

import sys
from pathlib import Path

import pytest

from pdelta.cli.lookup import lookup_below
from pdelta.errors import UsageError
from pdelta.formats.database_url import resolve

URL = "postgresql://ops:pass@db/app"


def test_lookup_when_all_is_there_then_every_kind_gives_the_url(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(URL + "\n")
    script = "print(open('url').read())"
    lookup = lookup_below(tmp_path, environment={"APP_URL": URL})
    texts = ("env:APP_URL", "file:url", f"file:{tmp_path / 'url'}", f'cmd:{sys.executable} -c "{script}"')
    assert [resolve(text, lookup) for text in texts] == [URL] * 4


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("file:gone", r"file:gone of the project file can't be read: No such file"),
        ("cmd:/no/such/program secret", r"cmd:/no/such/program … of the project file can't be started"),
        (f"cmd:{sys.executable} -c 'print(\"secret\"); raise SystemExit(3)'", r"… of the project file ended with 3"),
        (f"cmd:{sys.executable} -c 'import time; time.sleep(60) # secret'", r"took longer than 0.2 s"),
        (f"cmd:{sys.executable} -c 'import sys; sys.stdout.buffer.write(b\"secret\\xff\")'", "gives no database's URL"),
    ],
)
def test_lookup_when_it_fails_then_the_reason_is_told_and_no_secret(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        resolve(text, lookup_below(tmp_path, environment={}, timeout_s=0.2 if "sleep" in text else 30))
    assert "secret" not in caught.value.message
    assert caught.value.__suppress_context__ or caught.value.__cause__ is None or "sleep" not in text


def test_lookup_when_a_command_has_shell_signs_then_no_shell_reads_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        resolve(f"cmd:{sys.executable} -c pass; touch made > made", lookup_below(tmp_path, environment={}))
    assert list(tmp_path.iterdir()) == []
