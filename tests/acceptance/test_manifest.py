"""The origin's manifest.json and previous_hashes.json, as somebody brings them along."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sshd import Sshd
from tests.fixtures.trees import Symlink, Tree

MakeTree = Callable[[str, Tree], Path]


def _sha256(data: str) -> str:
    return hashlib.sha256(data.encode()).hexdigest()


@pytest.fixture
def manifest(tree: MakeTree, tmp_path: Path) -> Path:
    """A manifest of a small application, with fields of its author's own."""
    tree("app", {"conf": {"app.ini": "one"}, "old.txt": "keep me", "x.tmp": "no", "cache": {"junk": "no"}})
    file = tmp_path / "manifest.json"
    file.write_text(
        "{\n"
        '    "owner":   "ops team",\n'
        '    "base_dir": "app",\n'
        '    "remote_host": "",\n'
        f'    "remote_dir": "{tmp_path}/live",\n'
        '    "ignore": [".tmp", "cache/"],\n'
        '    "deltas": [],\n'
        '    "tags": {"b": 1, "a": 2}\n'
        "}\n"
    )
    return file


def test_manifest_push_when_first_run_then_deltas_are_written_and_executed(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    before = manifest.read_text()
    cli("push", "-f", manifest)
    after = manifest.read_text()
    document = json.loads(after)
    assert document["deltas"] == [
        {"file": "conf/app.ini", "action": "update", "hash": _sha256("one")},
        {"file": "old.txt", "action": "update", "hash": _sha256("keep me")},
    ]
    assert list(document) == list(json.loads(before))
    assert '"owner":   "ops team"' in after
    assert sorted(path.name for path in (tmp_path / "live").iterdir()) == [".pdelta", "conf", "old.txt"]


def test_manifest_push_when_a_file_is_renamed_then_it_is_an_update_and_a_deletion(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    cli("push", "-f", manifest)
    (tmp_path / "app" / "old.txt").rename(tmp_path / "app" / "new.txt")
    cli("push", "-f", manifest)
    assert json.loads(manifest.read_text())["deltas"] == [
        {"file": "new.txt", "action": "update", "hash": _sha256("keep me")},
        {"file": "old.txt", "action": "delete"},
    ]
    assert not (tmp_path / "live" / "old.txt").exists()


def test_manifest_push_when_a_folder_is_renamed_then_each_of_its_files_is_an_update_and_a_deletion(
    cli: Cli, manifest: Path, tree: MakeTree, tmp_path: Path
) -> None:
    deep: Tree = {"b": "2", "no.tmp": "", "no.bak": "", ".pdeltaignore": "*.bak"}
    tree("app", {"css": {"a": "1", "deep": deep, "l": Symlink("a"), "none": {}}})
    cli("push", "-f", manifest)
    (tmp_path / "app" / "css").rename(tmp_path / "app" / "styles")
    assert cli("push", "--json", "-f", manifest).json()["counts"]["moved"] == 1
    hashes = {"a": _sha256("1"), "deep/.pdeltaignore": _sha256("*.bak"), "deep/b": _sha256("2"), "l": _sha256("a")}
    assert json.loads(manifest.read_text())["deltas"] == [
        *({"file": f"css/{name}", "action": "delete"} for name in hashes),
        *({"file": f"styles/{name}", "action": "update", "hash": digest} for name, digest in hashes.items()),
    ]
    assert "already there" in cli("push", "--as-written", "-f", manifest).out


def test_manifest_when_a_dry_run_then_it_is_untouched_and_its_deltas_are_shown(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    before = (manifest.read_bytes(), manifest.stat().st_mtime_ns, manifest.stat().st_ino)
    shown = cli("push", "--dry-run", "-f", manifest).out
    assert f"2 deltas would be written into {manifest}:\n    update conf/app.ini ({_sha256('one')[:12]}…)" in shown
    told = cli("push", "--dry-run", "--json", "-f", manifest).json()["manifest"]
    assert not told["written"]
    assert told["deltas"][1] == {"file": "old.txt", "action": "update", "hash": _sha256("keep me")}
    assert (manifest.read_bytes(), manifest.stat().st_mtime_ns, manifest.stat().st_ino) == before
    assert not (tmp_path / "live").exists()


def test_manifest_when_only_its_deltas_are_wanted_then_nothing_is_pushed(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    told = cli("push", "--write-deltas", "--json", "-f", manifest).json()["manifest"]
    assert told["written"]
    assert json.loads(manifest.read_text())["deltas"] == told["deltas"]
    assert len(told["deltas"]) == 2
    shown = cli("push", "--write-deltas", "-f", manifest).out
    assert f"2 deltas were written into {manifest}\n  apply them: pdelta push -f {manifest} --as-written\n" in shown
    assert "were written" not in cli("push", "--as-written", "-n", "-f", manifest).out
    assert not (tmp_path / "live").exists()
    for other in ("--dry-run", "--as-written"):
        cli("push", "--write-deltas", other, "-f", manifest, status=2)
    cli("push", "--write-deltas", tmp_path / "app", tmp_path / "live", status=2)


def test_manifest_when_its_push_is_refused_then_it_is_untouched(cli: Cli, manifest: Path, tmp_path: Path) -> None:
    cli("push", "-f", manifest)
    written = manifest.read_bytes()
    (tmp_path / "app" / "old.txt").unlink()
    assert "loss:" in cli("push", "-f", manifest, status=3).err
    assert "loss:" in cli("push", "--write-deltas", "-f", manifest, status=3).err
    assert manifest.read_bytes() == written


def test_manifest_when_pushed_as_written_then_stale_deltas_are_refused(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    cli("push", "--write-deltas", "-f", manifest)
    written = manifest.read_text()
    assert len(json.loads(written)["deltas"]) == 2
    (tmp_path / "app" / "old.txt").write_text("changed since")
    refused = cli("push", "--as-written", "-f", manifest, status=3)
    assert "old.txt" in refused.err
    assert not (tmp_path / "live").exists()
    assert manifest.read_text() == written
    (tmp_path / "app" / "old.txt").write_text("keep me")
    cli("push", "--as-written", "-f", manifest)
    assert (tmp_path / "live" / "old.txt").read_text() == "keep me"


def test_manifest_when_pushed_as_written_again_then_it_is_already_there(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    cli("push", "-f", manifest)
    (tmp_path / "app" / "conf" / "app.ini").write_text("two")
    (tmp_path / "app" / "old.txt").unlink()
    cli("push", "--write-deltas", "--yes", "-f", manifest)
    written = manifest.read_bytes()
    first = cli("push", "--as-written", "--yes", "--json", "-f", manifest).json()
    assert first["counts"]["deleted"] == 1
    again = cli("push", "--as-written", "-f", manifest)
    assert f"{tmp_path}/live is already there" in again.out
    told = cli("push", "--as-written", "--json", "-f", manifest).json()
    assert (told["changed"], told["dry_run"], told["number"]) == (False, False, 0)
    assert manifest.read_bytes() == written


CONTRADICTIONS: dict[str, tuple[object, str]] = {
    "another hash": ({"file": "old.txt", "action": "update", "hash": "ab" * 32}, "both have another content"),
    "absent": ({"file": "gone.txt", "action": "update", "hash": "ab" * 32}, "neither has it"),
    "a folder": ({"file": "conf", "action": "update", "hash": "ab" * 32}, "both have another content"),
    "still there": ({"file": "old.txt", "action": "delete"}, "both have it"),
    "of others": ({"file": "theirs", "action": "delete"}, "the destination has one that pdelta did not bring"),
    "edited": ({"file": "conf/app.ini", "action": "update", "hash": _sha256("one")}, "the destination has another"),
    "ignored": ({"file": "x.tmp", "action": "update", "hash": _sha256("no")}, "it is ignored now"),
    "ignored by a file": ({"file": "conf/k.bak", "action": "update", "hash": _sha256("k")}, "it is ignored now"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_manifest_when_written_deltas_contradict_an_equal_destination_then_refused(
    cli: Cli, manifest: Path, tmp_path: Path, case: str
) -> None:
    delta, reason = CONTRADICTIONS[case]
    (tmp_path / "app" / "conf" / "k.bak").write_text("k")
    (tmp_path / "app" / "conf" / ".pdeltaignore").write_text("*.bak")
    cli("push", tmp_path / "app", tmp_path / "live", "--ignore", "*.tmp", "--ignore", "cache/")
    cli("push", "-f", manifest)
    (tmp_path / "live" / "theirs").write_text("theirs")
    if case == "edited":
        (tmp_path / "live" / "conf" / "app.ini").write_text("edited on the host")
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "deltas": [delta]}))
    refused = cli("push", "--as-written", "-f", manifest, status=3)
    assert reason in refused.err
    assert "nothing was changed" in refused.err


def test_manifest_push_when_the_host_is_remote_then_it_arrives_there(
    cli: Cli, manifest: Path, sshd: Sshd, tmp_path: Path
) -> None:
    manifest.write_text(manifest.read_text().replace('"remote_host": ""', f'"remote_host": "{sshd.host}"'))
    cli("push", "--rsh", sshd.rsh_text, "-f", manifest)
    assert (tmp_path / "live" / "conf" / "app.ini").read_text() == "one"


def test_import_hashes_when_the_host_has_most_files_then_only_the_rest_is_sent(
    cli: Cli, manifest: Path, tmp_path: Path, tree: MakeTree
) -> None:
    noise = "x" * 100_000
    (tmp_path / "app" / "large").write_text(noise)
    tree("live", {"conf": {"app.ini": "one"}, "old.txt": "keep me", "large": noise})
    hashes = tmp_path / "previous_hashes.json"
    hashes.write_text(
        json.dumps({"conf/app.ini": _sha256("one"), "old.txt": _sha256("keep me"), "large": _sha256(noise)})
    )
    (tmp_path / "app" / "conf" / "app.ini").write_text("two")
    told = cli("import-hashes", "--json", hashes).json()
    assert (told["count"], told["unchanged"], told["changed"]) == (3, 2, 1)
    pushed = cli("push", "--json", "-f", manifest).json()
    assert pushed["sent_bytes"] < 1000
    assert (tmp_path / "live" / "conf" / "app.ini").read_text() == "two"


def test_export_hashes_when_a_file_is_there_then_it_stays_as_bak(cli: Cli, manifest: Path, tmp_path: Path) -> None:
    hashes = tmp_path / "previous_hashes.json"
    hashes.write_text("{}")
    cli("export-hashes", "-f", manifest, hashes)
    assert json.loads(hashes.read_text()) == {"conf/app.ini": _sha256("one"), "old.txt": _sha256("keep me")}
    assert (tmp_path / "previous_hashes.json.bak").read_text() == "{}"


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"base_dir": 1}', '{"base_dir": "a", "base_dir": "b"}', "[" * 100_000, '{"base_dir": "app"}']
)
def test_manifest_when_malformed_then_exit_is_65(cli: Cli, tmp_path: Path, text: str) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(text)
    assert "Traceback" not in cli("push", "-f", file, status=65).err


def test_manifest_and_hashes_when_malformed_then_the_error_names_the_file(
    cli: Cli, manifest: Path, tmp_path: Path
) -> None:
    hashes = tmp_path / "previous_hashes.json"
    hashes.write_text('{"a": "no hash"}')
    refused = cli("import-hashes", "--manifest", manifest, hashes, status=65).err
    assert f"'{hashes}': the hash of 'a' is not 64 hexadecimal digits\nhint: correct the file" in refused
    manifest.write_text('{"base_dir": 3}')
    for command in (("push", "-f", manifest), ("import-hashes", "--manifest", manifest, hashes)):
        hashes.write_text("{}")
        assert f"'{manifest}': the manifest's 'base_dir' is not a string" in cli(*command, status=65).err
