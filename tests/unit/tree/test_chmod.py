"""The clauses of ``--chmod``."""

import pytest

from pdelta.errors import UsageError
from pdelta.tree.chmod import parse_chmod


@pytest.mark.parametrize(
    ("text", "file_mode", "folder_mode"),
    [
        ("", 0o640, 0o750),
        ("F644", 0o644, 0o750),
        ("D2755,F600", 0o600, 0o2755),
        ("Du=rwx,Dg=rx,F644", 0o644, 0o750),
        ("go=", 0o600, 0o700),
        ("a+rX", 0o644, 0o755),
        ("+x", 0o751, 0o751),
        ("o-rwx,g+w", 0o660, 0o770),
        ("Dg+s,D+t", 0o640, 0o3750),
        ("Fu+s", 0o4640, 0o750),
        ("u=rwX", 0o640, 0o750),
        ("ug-w,u+w", 0o640, 0o750),
    ],
)
def test_chmod_when_applied_then_modes(text: str, file_mode: int, folder_mode: int) -> None:
    apply = parse_chmod(text)
    assert (apply(0o640, False), apply(0o750, True)) == (file_mode, folder_mode)


def test_chmod_when_special_bits_then_equals_clears_a_files_and_keeps_a_folders() -> None:
    apply = parse_chmod("u=rwx,g=rx")
    assert (apply(0o6755, False), apply(0o6755, True)) == (0o755, 0o6755)


@pytest.mark.parametrize("text", ["rwx", "F9", "X644", "u:rwx", "D64"])
def test_chmod_when_unreadable_then_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        parse_chmod(text)
