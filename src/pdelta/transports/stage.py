"""The first stage: what the loader runs on a host before anything of pdelta is there.

Standard library alone, in syntax that Python 3.6 can parse, so that an old
interpreter can hand over to a newer one. Its source travels compressed and
without comments at every contact, so it stays small. Imported here only for its
source and its tests; on the host it is the main module and ends the process.
The bytes that it speaks are specified in ``docs/formats/wire.md``.
"""

import os
import sys

MINIMUM = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def read(length: int) -> bytes:
    """Give exactly this many bytes of standard input, never one more; less only at its end."""
    data = bytearray()
    while len(data) < length:
        piece = os.read(0, min(length - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return bytes(data)


def read_words() -> "list[str]":
    """Give the words of a line, read byte by byte because what follows it is not ours."""
    line = b""
    while not line.endswith(b"\n") and len(line) < 8192:
        byte = os.read(0, 1)
        if not byte:
            sys.exit(75)
        line += byte
    return line.decode("ascii").split()


def report(nonce: str, state: str, **facts: object) -> None:
    """Write the line that the controller looks for behind whatever a start-up file has printed."""
    words = ["#pdelta-" + nonce, "state=" + state]
    words += [key + "=" + str(value).replace("\t", " ").replace("\n", " ") for key, value in facts.items()]
    os.write(1, ("\t".join(words) + "\n").encode("utf-8", "backslashreplace"))


def libc() -> str:
    """Give the C library and its version."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    except (ValueError, OSError, AttributeError):
        return "musl" if sys.platform == "linux" else sys.platform


def platform_tag() -> str:
    """Give what a compiled module must have been built for, as one word."""
    python = sys.implementation.cache_tag + sys.abiflags
    return "-".join((python, sys.platform, os.uname().machine, libc().split()[0]))


def bases() -> "list[str]":
    """Give the cache folders that may hold agents, best first."""
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        import pwd

        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            home = "/"
    cache = os.environ.get("XDG_CACHE_HOME", "")
    first = cache if cache.startswith("/") else home + "/.cache"
    return [first + "/pdelta/agent", "/var/tmp/pdelta-agent-%d" % os.geteuid()]  # noqa: S108 - checked by own()


def own(folder: str) -> bool:
    """Whether a folder is there, ours, no link, and closed to everyone else's writing."""
    try:
        stat = os.lstat(folder)
    except OSError:
        return False
    return stat.st_mode & 0o170022 == 0o040000 and stat.st_uid == os.geteuid()


def prepare(folder: str) -> str:
    """Make a folder for agents; say what is in the way, or nothing."""
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        if not own(folder):
            return folder + " belongs to somebody else or is writable by others"
        if os.statvfs(folder).f_flag & os.ST_NOEXEC:
            return folder + " is on a file system mounted noexec"
        probe = folder + "/.probe-%d" % os.getpid()
        os.mkdir(probe, 0o700)
        os.rmdir(probe)
    except OSError as error:
        return "%s: %s" % (folder, error)
    return ""


def write(path: str, data: bytes) -> None:
    """Write one new file durably."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def unpack(data: bytes, folder: str) -> None:
    """Write the files of an archive below a folder; every record is checked before its file is made."""
    import hashlib

    position = 0
    while position < len(data):
        name_length = int.from_bytes(data[position : position + 2], "big")
        length = int.from_bytes(data[position + 2 : position + 6], "big")
        position += 38
        digest = data[position - 32 : position]
        name = data[position : position + name_length].decode("ascii")
        body = data[position + name_length : position + name_length + length]
        position += name_length + length
        if set(name.split("/")) & {"", ".", ".."} or "\0" in name or hashlib.sha256(body).digest() != digest:
            raise ValueError("damaged record " + ascii(name))
        write(folder + "/" + name, body)


def place(folder: str, digest: str) -> None:
    """Take an archive from standard input and make it the agent of that digest, or leave nothing."""
    import hashlib
    import shutil
    import zlib

    word, length, expected, raw_length = read_words()
    if word != "#pdelta-archive":
        sys.exit(0)
    packed = read(int(length))
    if len(packed) != int(length) or hashlib.sha256(packed).hexdigest() != expected:
        raise ValueError("the agent arrived damaged")
    data = zlib.decompressobj().decompress(packed, int(raw_length))
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("the agent is not the one that was announced")
    fresh = "%s/.new-%d-%s" % (folder, os.getpid(), os.urandom(4).hex())
    os.mkdir(fresh, 0o700)
    try:
        unpack(data, fresh)
        for parent, _, _ in os.walk(fresh):
            sync(parent)
        try:
            os.rename(fresh, folder + "/" + digest)
        except OSError:
            if not own(folder + "/" + digest):
                # It stands in our folder, but others can write to it: whatever it holds is not to be run.
                shutil.rmtree(folder + "/" + digest, ignore_errors=True)
                os.rename(fresh, folder + "/" + digest)
        sync(folder)
        sweep(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def sweep(folder: str) -> None:
    """Remove what killed placings left a day ago, and agents placed three months ago."""
    import shutil
    import time

    for name in os.listdir(folder):
        days = (time.time() - os.lstat(folder + "/" + name).st_mtime) / 86400
        if days > (1 if name.startswith(".") else 90):
            shutil.rmtree(folder + "/" + name, ignore_errors=True)


def sync(folder: str) -> None:
    """Make a folder's names durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start(path: str, preamble: bytes) -> None:
    """Become the agent: its output is kept apart from whatever prints."""
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.path.insert(0, path)
    from pdelta.app.serve import serve

    status = serve(incoming, outgoing, pending=preamble)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main(source: bytes) -> None:
    """Say what is here, take the agent when it is not, and become it."""
    if sys.version_info < MINIMUM:
        for name in NEWER:
            try:
                os.execvp(name, [name, "-I", "-S", "-X", "utf8", "-c", source.decode("utf-8")])  # noqa: S606
            except OSError:
                continue
    _, nonce, digests, length = read_words()
    preamble = read(int(length))
    tag = platform_tag()
    facts = {"tag": tag, "libc": libc()}
    if sys.version_info < MINIMUM:
        report(nonce, "old", why="python3 is %d.%d" % sys.version_info[:2], **facts)
        sys.exit(0)
    digest = dict(pair.split("=") for pair in digests.split(",") if pair).get(tag, "")
    for folder in bases():
        if digest and own(folder) and own(folder + "/" + digest):
            report(nonce, "present", **facts)
            start(folder + "/" + digest, preamble)
    problems = []
    umask = os.umask(0o077)
    for folder in bases():
        problem = prepare(folder)
        if not problem:
            report(nonce, "absent", **facts)
            try:
                place(folder, digest)
            except (ValueError, OSError) as error:
                report(nonce, "unusable", why=error, **facts)
                sys.exit(0)
            os.umask(umask)
            report(nonce, "placed", **facts)
            start(folder + "/" + digest, preamble)
        problems.append(problem)
    report(nonce, "unusable", why="; ".join(problems), **facts)


if __name__ == "__main__":
    main(globals().get("s", b""))
