"""The set-up builds pdelta with a compiler and without one."""

import ctypes
from pathlib import Path

import pytest

from scripts.build_hook import SOURCE, build


def test_build_when_there_is_a_compiler_then_the_library_loads(tmp_path: Path, native_calls: object) -> None:
    assert native_calls is not None
    library = tmp_path / "calls.so"
    assert build(Path(SOURCE), library) == ""
    assert ctypes.CDLL(str(library)).pdelta_version() > 0
    assert [it.name for it in tmp_path.iterdir()] == ["calls.so"]


@pytest.mark.parametrize(
    ("compiler", "reason"), [("", "no C compiler"), ("/absent/cc", "No such file"), ("false", "failed: without a word")]
)
def test_build_when_it_cannot_compile_then_the_reason_and_nothing_left(
    compiler: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    if not compiler:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert reason in build(Path(SOURCE), tmp_path / "calls.so")
    assert list(tmp_path.iterdir()) == []
