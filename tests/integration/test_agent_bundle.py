"""The agent's archive: what is in it, when it is built again, and for whom it fits."""

import ast
import hashlib
import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest

import pdelta
from pdelta.app import bundle, fetch
from pdelta.app.bundle import AgentBundles, fetch_command, needed_glibc
from pdelta.errors import AdapterError, TransportError, UsageError
from pdelta.transports import stage
from pdelta.transports.base import HostFacts

OWN = stage.platform_tag()
PACKAGE = Path(pdelta.__file__).parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _unpack(archive: bytes) -> dict[str, bytes]:
    data, files, at = zlib.decompress(archive), {}, 0
    while at < len(data):
        name, length = int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 6])
        body = data[at + 38 + name : at + 38 + name + length]
        assert hashlib.sha256(body).digest() == data[at + 6 : at + 38]
        files[data[at + 38 : at + 38 + name].decode()] = body
        at += 38 + name + length
    return files


def _imported(source: bytes, package: Path) -> list[str]:
    """Give the modules of a package that a module imports, anywhere in it but for types alone."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        waiting += ast.iter_child_nodes(node)
    paths = [name.replace(".", "/") for name in names if name.startswith("pdelta.")]
    found = [f"{path}{end}" for path in paths for end in (".py", "/__init__.py")]
    return [path for path in found if (package.parent / path).exists()]


def test_archive_when_built_then_holds_the_agent_and_no_command_line(cache: Path) -> None:
    files = _unpack(AgentBundles(cache).archive(HostFacts("absent", OWN, stage.libc())))
    assert "pdelta/app/serve.py" in files
    assert "pdelta/operations/tree/operation.py" in files
    unused = ("cli", "testing", "sql", "databases", "app/sql", "operations/sql")
    assert not [it for it in files if it.startswith(("click", "rich", *(f"pdelta/{name}/" for name in unused)))]
    assert not [it for it in files if it.startswith("/") or ".." in it.split("/")]
    for library in ("msgspec", "blake3", "pyfastcdc", "backports", "pathspec"):
        assert [it for it in files if it.startswith(library)], library
    assert f"pdelta/app/__pycache__/serve.{sys.implementation.cache_tag}.pyc" in files


def test_archive_when_built_then_holds_whatever_the_agent_imports_at_any_time(cache: Path) -> None:
    files = _unpack(AgentBundles(cache).archive(HostFacts("absent", OWN, stage.libc())))
    waiting, seen = ["pdelta/app/serve.py"], set()
    while waiting:
        seen.add(name := waiting.pop())
        waiting += [it for it in _imported(files[name], PACKAGE) if it not in seen]
    assert len(seen) > 100
    assert seen <= files.keys()


def test_archive_when_unpacked_alone_then_the_agent_starts_without_a_command_line_library(
    cache: Path, tmp_path: Path
) -> None:
    for name, data in _unpack(AgentBundles(cache).archive(HostFacts("absent", OWN, stage.libc()))).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import pathspec, pyfastcdc, blake3, msgspec, pdelta.operations.tree\n"
        "from pdelta.app.serve import serve\n"
        "print(sorted({it.split('.')[0] for it in sys.modules} & {'click', 'rich', 'asyncio', 'http', 'ssl'}))\n"
    )
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout == "[]\n", result.stderr


def test_digest_when_asked_again_then_is_remembered_and_equal_when_built_elsewhere(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = AgentBundles(cache).digests()
    assert AgentBundles(tmp_path).digests() == digests
    monkeypatch.setattr(AgentBundles, "_build", None)
    assert AgentBundles(cache).digests() == digests


def test_digest_when_a_file_has_changed_then_is_made_anew(cache: Path) -> None:
    (record,) = (cache / "agents").glob(f"{OWN}-*.record")
    before = AgentBundles(cache).digests()
    old = msgspec.msgpack.decode(record.read_bytes(), type=bundle.Record)
    path, size, mtime = old.seen[0]
    stale = msgspec.structs.replace(old, seen=((path, size, mtime - 1), *old.seen[1:]), digest="0" * 64)
    record.write_bytes(msgspec.msgpack.encode(stale))
    assert AgentBundles(cache).digests() == before
    record.write_bytes(b"garbage")
    assert AgentBundles(cache).digests() == before


def test_host_when_its_glibc_is_too_old_or_its_platform_unknown_then_the_command_is_said(cache: Path) -> None:
    bundles = AgentBundles(cache)
    record = bundles._record(OWN)
    bundles._records[OWN] = msgspec.structs.replace(record, glibc=(2, 17))
    assert bundles.archive(HostFacts("absent", OWN, "glibc 2.17"))
    with pytest.raises(TransportError, match=r"needs glibc 2\.17, the host has glibc 2\.5"):
        bundles.archive(HostFacts("absent", OWN, "glibc 2.5"))
    with pytest.raises(TransportError) as caught:
        bundles.archive(HostFacts("absent", "cpython-312-linux-aarch64-glibc", "glibc 2.36"))
    assert caught.value.hint == "run: pdelta agent fetch --platform manylinux2014_aarch64 --python 3.12"


def test_platforms_when_read_then_tags_and_commands_agree() -> None:
    for platform in ("manylinux2014_x86_64", "manylinux2014_aarch64", "musllinux_1_2_x86_64", "macosx_11_0_arm64"):
        tag = fetch.platform_to_tag(platform, "3.13")
        assert fetch_command(tag) == f"pdelta agent fetch --platform {platform} --python 3.13"
    for platform, python in (("vax", "3.12"), ("manylinux2014_x86_64", "3.10"), ("manylinux2014_x86_64", "3.12; ls")):
        with pytest.raises(UsageError):
            fetch.platform_to_tag(platform, python)
    assert fetch_command("") == "pdelta agent fetch --platform PLATFORM --python VERSION"


@pytest.mark.parametrize(
    ("platforms", "need"),
    [
        (["any"], (0, 0)),
        (["manylinux_2_17_x86_64", "manylinux2014_x86_64"], (2, 17)),
        (["manylinux_2_28_x86_64", "manylinux_2_17_x86_64"], (2, 17)),
        (["manylinux1_x86_64"], (2, 5)),
        (["musllinux_1_2_x86_64"], (0, 0)),
        ([], (9, 0)),
    ],
)
def test_glibc_when_read_from_wheel_tags_then_is_the_least_that_will_do(
    platforms: list[str], need: tuple[int, int]
) -> None:
    assert needed_glibc(platforms) == need


PIP = """#!{python}
import sys, zipfile
words = sys.argv[1:]
folder = words[words.index("--dest") + 1]
for word in words[words.index("--dest") + 2:]:
    name, version = word.split("==")
    if name == "{missing}":
        sys.exit("ERROR: No matching distribution found for " + word)
    wheel = f"{{folder}}/{{name.replace('.', '_')}}-{{version}}-cp312-cp312-manylinux_2_17_aarch64.whl"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr(f"{{name}}/__init__.py", "x = 1")
        out.writestr(f"{{name}}/native.so", "elf")
        out.writestr(f"{{name}}-{{version}}.dist-info/RECORD", "")
        out.writestr("../evil.py", "")
"""


def _fake_pip(folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str = "") -> None:
    """Put a pip in place that makes wheels instead of downloading them."""
    program = folder / "python"
    program.write_text(PIP.format(python=sys.executable, missing=missing))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_fetched_agent_when_prepared_then_fits_its_platform_and_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_pip(tmp_path, monkeypatch)
    report = fetch.fetch_agent(tmp_path, platform="manylinux2014_aarch64", python="3.12")
    assert report.tag == "cpython-312-linux-aarch64-glibc"
    assert len(report.wheels) == 5
    bundles = AgentBundles(tmp_path)
    assert bundles.digests()[report.tag] == report.digest != bundles.digests()[OWN]
    files = _unpack(bundles.archive(HostFacts("absent", report.tag, "glibc 2.31")))
    assert files["blake3/native.so"] == b"elf"
    assert not [it for it in files if "evil" in it or it.endswith(".pyc") or ".dist-info" in it]
    wheel = tmp_path / "wheels" / report.tag / report.wheels[0]
    with zipfile.ZipFile(wheel, "a") as out:
        out.writestr("planted.py", "")
    with pytest.raises(TransportError, match="missing or damaged"):
        bundle.read_wheels(wheel.parent)
    assert list(AgentBundles(tmp_path).digests()) == [OWN]
    with pytest.raises(TransportError, match="no agent for"):
        AgentBundles(tmp_path).archive(HostFacts("absent", report.tag, "glibc 2.31"))


def test_fetch_when_pip_finds_nothing_then_says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_pip(tmp_path, monkeypatch, missing="pyfastcdc")
    with pytest.raises(AdapterError, match="No matching distribution found for pyfastcdc"):
        fetch.fetch_agent(tmp_path, platform="manylinux2014_aarch64", python="3.12")
    assert os.listdir(tmp_path / "wheels") == []
