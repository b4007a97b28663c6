"""The server that the other tests stand on is as foreign as they assume."""

import pytest

from tests.fixtures.sshd import Sshd


def test_remote_home_when_logged_in_then_it_is_the_folder_of_the_fixture(sshd: Sshd) -> None:
    assert sshd.run('printf %s "$HOME"').stdout == str(sshd.home).encode()


def test_remote_python_when_asked_then_it_is_recent_and_has_no_pdelta(sshd: Sshd) -> None:
    done = sshd.run(
        "python3 -c 'import importlib.util as u, sys; print(sys.version_info >= (3, 11), u.find_spec(\"pdelta\"))'"
    )
    assert done.stdout.split() == [b"True", b"None"], done.stderr


def test_remote_shell_when_it_starts_then_it_prints_nothing(sshd: Sshd) -> None:
    done = sshd.run("true")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("size_bytes", [0, 1, 1_000_000])
def test_remote_pipe_when_bytes_pass_through_then_they_arrive_unchanged(sshd: Sshd, size_bytes: int) -> None:
    payload = bytes(range(256)) * (size_bytes // 256 + 1)
    assert sshd.run("cat", stdin=payload[:size_bytes]).stdout == payload[:size_bytes]
