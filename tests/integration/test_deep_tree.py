"""Trees of thousands of folders in one another: every command works on them, with 64 descriptors at each end."""

import os
from pathlib import Path

import pytest

from tests.fixtures.chain import LETTERS, WORDS, Chain, chain_state, folder_at, write
from tests.fixtures.cli import Cli
from tests.fixtures.depth import by_depth
from tests.fixtures.sshd import Sshd
from tests.fixtures.tree_runs import opened, push, roll_back, troubles

FEW = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")


@pytest.fixture
def few(short_path: Path) -> Cli:
    """The program with few descriptors."""
    return Cli(short_path, wrapper=FEW)


def test_commands_when_tree_is_as_deep_as_a_path_then_all_work_with_few_descriptors(few: Cli, tmp_path: Path) -> None:
    chain = by_depth(brief=WORDS, full=LETTERS, soak=LETTERS)
    source, dest = tmp_path / "source", tmp_path / "dest"
    chain.build(source)
    first = chain_state(source)
    few("push", source, dest)
    assert chain_state(dest) == first

    chain.edit_bottom(source)
    assert "new" in few("diff", source, dest, status=4).out
    few("push", source, dest)
    second = chain_state(source)
    assert chain_state(dest) == second

    chain.rename_middle(source)
    assert few("push", "--json", source, dest).json()["counts"]["moved"] == 1
    assert chain_state(dest) == chain_state(source)
    assert f"{chain.name} → e" in few("show", dest, "3").out.replace(f"{chain.name}/", "").replace("e/", "")
    few("rollback", dest)
    assert chain_state(dest) == second

    chain.delete(source)
    few("push", "--yes", source, dest)
    assert list(chain_state(dest)) == [b""]
    few("rollback", "--to", "1", dest)
    assert chain_state(dest) == first
    few("verify", dest)

    few("push", "--yes", source, dest)
    few("gc", "--keep", "1", dest)
    few("rollback", dest)
    assert chain_state(dest) == first


@pytest.mark.parametrize("change", ["edit_bottom", "rename_middle", "delete"])
def test_recover_when_killed_in_a_deep_tree_then_finished(tmp_path: Path, change: str) -> None:
    class Killed(BaseException):
        pass

    def kill(name: str) -> None:
        if name.startswith("commit."):
            raise Killed

    source, dest = tmp_path / "source", tmp_path / "dest"
    WORDS.build(source)
    push(source, dest)
    before = chain_state(dest)
    getattr(WORDS, change)(source)
    with pytest.raises(Killed):
        push(source, dest, kill)
    with opened(dest) as operation:
        assert operation.recover().direction == "forward"
    assert chain_state(dest) == chain_state(source)
    assert troubles(dest) == []
    roll_back(dest)
    assert chain_state(dest) == before


def test_push_when_tree_is_deep_then_works_over_ssh_with_few_descriptors_at_both_ends(
    sshd: Sshd, few: Cli, tmp_path: Path
) -> None:
    source, dest, rsh = tmp_path / "source", tmp_path / "dest", tmp_path / "rsh"
    rsh.write_text(f'#!/bin/bash\nexec {sshd.rsh_text} "${{@:1:$#-1}}" "ulimit -n 64; ${{!#}}"\n')
    rsh.chmod(0o755)
    where = (f"{sshd.host}:{dest}", "--rsh", rsh, "--no-keep")
    WORDS.build(source)
    first = chain_state(source)
    few("push", source, *where)
    assert chain_state(dest) == first
    WORDS.edit_bottom(source)
    WORDS.rename_middle(source)
    few("push", source, *where)
    assert chain_state(dest) == chain_state(source)
    WORDS.delete(source)
    few("push", "--yes", source, *where)
    assert list(chain_state(dest)) == [b""]
    few("rollback", "--to", "1", *where)
    assert chain_state(dest) == first
    few("verify", *where)


def test_release_when_tree_is_deep_then_switches_forth_and_back(few: Cli, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    WORDS.build(source)
    with folder_at(source, ["ddd"] * 500) as middle:
        write(middle, "after", b"comes after a deep folder")
    first = chain_state(source)
    few("push", "--release", source, dest)
    WORDS.edit_bottom(source)
    few("push", source, dest)
    assert chain_state(dest.resolve()) == chain_state(source)
    few("rollback", dest)
    assert chain_state(dest.resolve()) == first
    few("verify", dest)
    few("gc", "--keep", "1", dest)


def test_push_when_paths_are_too_long_then_the_rest_is_pushed_and_they_are_named(cli: Cli, tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    Chain(15, "n" * 255).build(source)
    with folder_at(source, ["n" * 255] * 15) as bottom:
        write(bottom, "l" * 255, b"4,095 bytes")
        os.mkdir("m" * 254, dir_fd=bottom)
        with folder_at(source, ["n" * 255] * 15 + ["m" * 254]) as below:
            write(below, "x", b"4,096 bytes")
    done = cli("push", "--json", source, dest, status=4).json()
    assert [it["message"] for it in done["problems"]] == ["its path has more than 4095 bytes"]
    with folder_at(dest, ["n" * 255] * 15) as bottom:
        assert sorted(os.listdir(bottom)) == ["l" * 255, "m" * 254]
    cli("verify", dest)
    refused = cli("push", "--on-error", "stop", source, dest, status=3)
    assert "its path has more than 4095 bytes" in refused.err
