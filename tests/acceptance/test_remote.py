"""The same commands against a host without pdelta, over a real sshd."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.test_local import APP
from tests.fixtures.cli import Cli
from tests.fixtures.sshd import Sshd
from tests.fixtures.trees import Tree, tree_state

MakeTree = Callable[[str, Tree], Path]


@pytest.fixture
def remote(sshd: Sshd, tmp_path: Path) -> tuple[tuple[str, ...], str, Path]:
    """Options that reach the server, an address there, and the same folder as seen from here."""
    folder = tmp_path / "remote"
    return ("--rsh", sshd.rsh_text), f"{sshd.host}:{folder}", folder


def test_push_over_ssh_when_the_host_has_no_pdelta_then_it_arrives(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    source = tree("app", APP)
    told = cli("push", "--json", *options, source, address).json()
    assert tree_state(folder) == tree_state(source)
    assert told["sent_bytes"] > 0
    again = cli("push", "--json", *options, source, address).json()
    assert not again["changed"]
    assert again["sent_bytes"] < 10_000


def test_every_command_when_the_tree_is_on_a_host_then_it_works_there(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    source = tree("app", APP)
    cli("push", *options, "--note", "first", source, address)
    first = tree_state(folder)
    (source / "conf" / "app.ini").write_text("changed")
    (source / "data").rename(source / "assets")
    told = cli("diff", "--json", *options, source, address, status=4).json()
    assert ", before compression\n" in cli("diff", *options, source, address, status=4).out
    assert told["change_count"] >= 2
    pushed = cli("push", "--json", *options, source, address).json()
    assert tree_state(folder) == tree_state(source)
    assert pushed["sent_bytes"] < 20_000
    shown = cli("show", "--json", *options, address).json()
    assert shown["number"] == 2
    assert cli("verify", "--json", *options, address).json()["equal"]
    shutil.rmtree(source)
    back = cli("rollback", "--json", *options, address).json()
    assert tree_state(folder) == first
    assert back["sent_bytes"] < 10_000
    assert len(cli("history", "--json", *options, address).json()["entries"]) == 3
    assert cli("recover", "--json", *options, address).json()["found"] == "nothing"
    assert cli("doctor", "--json", *options, address).json()["healthy"]
    cli("gc", *options, "--keep", "1", address)


def test_push_with_a_base_cache_when_a_file_changed_a_little_then_hardly_anything_is_sent(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    data = os.urandom(300_000)
    source = tree("app", {**APP, "large.bin": data})
    cli("push", *options, "--base-cache", "on", source, address)
    (source / "large.bin").write_bytes(data[:100_000] + b"more" + data[100_010:])
    with_cache = cli("push", "--json", *options, "--base-cache", "64M", source, address).json()["sent_bytes"]
    assert tree_state(folder) == tree_state(source)
    (source / "large.bin").write_bytes(data[:200_000] + b"more" + data[200_010:])
    without = cli("push", "--json", *options, "--base-cache", "off", source, address).json()["sent_bytes"]
    assert tree_state(folder) == tree_state(source)
    assert with_cache < 6000
    assert with_cache < without < 20_000
    (source / "large.bin").write_bytes(data)
    lost = cli("push", "--json", *options, "--base-cache", "on", source, address).json()["sent_bytes"]
    assert tree_state(folder) == tree_state(source)
    assert lost < 20_000


def test_repair_over_ssh_when_a_file_is_damaged_then_it_is_brought_back(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    source = tree("app", APP)
    cli("push", *options, source, address)
    (folder / "conf" / "app.ini").write_text("damaged")
    cli("verify", *options, address, status=4)
    cli("verify", *options, "--repair-from", source, address)
    assert tree_state(folder) == tree_state(source)
    (folder / "conf" / "app.ini").write_text("damaged")
    (source / "conf" / "app.ini").write_text("moved on")
    refused = cli("verify", *options, "--repair-from", source, address, status=3).err
    assert "recorded of 1 path: 'conf/app.ini'" in refused


def test_push_to_a_named_host_when_the_project_file_knows_it_then_its_root_is_used(
    cli: Cli, tree: MakeTree, sshd: Sshd, tmp_path: Path
) -> None:
    source = tree("app", {"a": "1"})
    (tmp_path / "there").mkdir()
    (cli.home / "pdelta.toml").write_text(f'[hosts.web1]\naddress = "{sshd.host}"\nroot = "{tmp_path}/there"\n')
    cli("push", "--rsh", sshd.rsh_text, source, "web1:app")
    assert (tmp_path / "there" / "app" / "a").read_text() == "1"
    assert (cli.home / ".pdelta-runs" / "journal.sqlite").exists()


def test_push_when_the_host_does_not_answer_then_exit_is_69(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    result = cli("push", source, "ssh://127.0.0.1:1/tmp/nowhere", status=69)
    assert "hint:" in result.err
    assert "Traceback" not in result.err


def test_push_when_the_connection_is_slow_then_the_limit_holds(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    source = tree("app", {"noise": os.urandom(300_000)})
    cli("history", *options, address, status=2)  # the agent is there from now on
    told = cli("push", "--json", *options, "--bwlimit", "200K", source, address).json()
    assert told["duration_s"] > 0.8
    assert tree_state(folder) == tree_state(source)


def test_push_in_place_when_the_tree_is_on_a_host_then_ranges_travel_and_rollback_brings_them_back(
    cli: Cli, tree: MakeTree, remote: tuple[tuple[str, ...], str, Path]
) -> None:
    options, address, folder = remote
    source = tree("app", {"disk.img": os.urandom(4 << 20), "few": b"few"})
    cli("push", *options, source, address)
    first, inode = tree_state(folder), (folder / "disk.img").stat().st_ino
    with (source / "disk.img").open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"patched")
    told = cli("push", "--json", "--inplace", *options, source, address).json()
    assert told["sent_bytes"] < 20_000
    assert tree_state(folder) == tree_state(source)
    assert (folder / "disk.img").stat().st_ino == inode
    cli("verify", *options, address)
    cli("rollback", *options, address)
    assert tree_state(folder) == first
    assert (folder / "disk.img").stat().st_ino == inode
    os.link(folder / "disk.img", folder.with_name("outside"))
    said = cli("push", "--inplace", *options, source, address).out
    assert "replaced as a whole: it has 2 names" in said
    cli("push", "--inplace", "--release", *options, source, address, status=2)
