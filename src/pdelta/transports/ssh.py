"""The system's OpenSSH as a channel: its command line, its defaults, its errors.

The user's configuration, keys and jump hosts work as they are; what pdelta
prefers (a kept connection, an AES-GCM cipher, keep-alives) is written below
the user's own choices, in a file that includes them first, so that OpenSSH's
"first value wins" decides without another process being asked.
"""

import os
import re
import shlex
from collections.abc import Sequence
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import TransportError, UsageError
from pdelta.transports.address import RemoteAddress
from pdelta.transports.loader import REMOTE_COMMAND
from pdelta.transports.subprocess import SubprocessChannel

KEEP_S: Final = 600
CONTROL_PATH_LIMIT: Final = 49
"""sun_path holds 108 bytes; ``/``, 40 digits of ``%C`` and ssh's own suffix of 17 have to fit behind the folder."""

CIPHERS: Final = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Measured on one core a side: chacha20 212 MiB/s, aes128-gcm 415, aes256-gcm 526; these first, then the rest."""

SYSTEM_CONFIG: Final = "/etc/ssh/ssh_config"


class SshOptions(msgspec.Struct, frozen=True):
    """How to reach hosts.

    Attributes:
        rsh: Replaces ``ssh``, as words of a shell (``--rsh``); empty for ssh.
        control_dir: A short 0700 folder for kept connections and the generated configuration; empty for neither.
        user_config: The user's own configuration file; empty when there is none.
        keep: Whether connections are kept for ten minutes.
        fresh: Whether a connection of its own is made, never a kept one.
        interactive: Whether ssh may ask for a password.
        become: User to become on the host through ``sudo -n``; empty for nobody.
        identity: Private key file to offer first; empty for ssh's choice.
    """

    rsh: str = ""
    control_dir: str = ""
    user_config: str = ""
    keep: bool = True
    fresh: bool = False
    interactive: bool = False
    become: str = ""
    identity: str = ""


def build_command(address: RemoteAddress, options: SshOptions) -> list[str]:
    """Give the command that starts an agent on a host.

    Raises:
        UsageError: The options contradict each other.
        TransportError: The folder for kept connections is not safe.
    """
    try:
        words = shlex.split(options.rsh or "ssh")
    except ValueError as error:
        raise UsageError(f"--rsh {options.rsh!r} is no command: {error}", hint="close its quotation marks") from error
    if not words:
        raise UsageError("--rsh names no command")
    remote = REMOTE_COMMAND
    if options.become:
        remote = f"sudo -n {_become(options.become)}{remote}"
    if os.path.basename(words[0]) != "ssh":
        if address.port:
            raise UsageError(f"a port in the address can't be given to {words[0]}", hint="put it into --rsh")
        login = ["-l", address.user] if address.user else []
        return [*words, *login, address.host, remote]
    command = _configure(words, options)
    if address.port:
        command += ["-p", str(address.port)]
    if address.user:
        command += ["-l", address.user]
    if options.identity:
        command += ["-i", options.identity]
    return [*command, "--", address.host, remote]


def open_ssh(address: RemoteAddress, options: SshOptions) -> SubprocessChannel:
    """Start ssh towards a host.

    Raises:
        TransportError: It can't be started, or the folder for kept connections is not safe.
    """
    command = build_command(address, options)

    def explain(status: int | None, said: str) -> TransportError:
        return explain_exit(address.label, status, said, become=options.become)

    return SubprocessChannel(command, explain=explain)


def _configure(words: Sequence[str], options: SshOptions) -> list[str]:
    """Give the ssh command with our preferences below those of the user."""
    fixed = ["-T", "-o", "RemoteCommand=none", "-o", "ClearAllForwardings=yes"]
    if not options.interactive:
        fixed += ["-o", "BatchMode=yes"]
    if options.fresh or not options.keep:
        fixed += ["-o", "ControlMaster=no", "-o", "ControlPath=none"]
    rest, chosen = _split_config(words)
    if not options.control_dir:
        return [*words, *fixed]
    check_private(options.control_dir)
    includes = [chosen] if chosen else [*([options.user_config] if options.user_config else []), SYSTEM_CONFIG]
    if chosen.lower() == "none":
        includes = []
    if any(re.search(r'[\x00-\x1f"\\*?\[\]]', name) for name in includes):
        return [*words, *fixed]
    if options.user_config in includes:
        _check_config(options.user_config)
    return [*rest, "-F", _write_config(options, includes), *fixed]


def _write_config(options: SshOptions, includes: Sequence[str]) -> str:
    lines = [f'Include "{name}"' for name in includes]
    lines += ["Host *", f"Ciphers {CIPHERS}", "ServerAliveInterval 15", "ServerAliveCountMax 4"]
    if options.keep and not options.fresh and len(os.fsencode(options.control_dir)) <= CONTROL_PATH_LIMIT:
        lines += ["ControlMaster auto", f'ControlPath "{options.control_dir}/%C"', f"ControlPersist {KEEP_S}"]
    text = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n"
    path = f"{options.control_dir}/{blake3(text).hexdigest(8)}.conf"
    try:
        with open(path, "rb") as stream:
            if stream.read() == text:
                return path
    except OSError:
        pass
    fresh = f"{path}.{os.getpid()}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(text)
    os.replace(fresh, path)
    return path


def _split_config(words: Sequence[str]) -> tuple[list[str], str]:
    """Take ``-F FILE`` out of an ssh command; give the other words and the file."""
    rest: list[str] = []
    chosen = ""
    left = iter(words)
    for word in left:
        if word == "-F":
            chosen = next(left, "")
        elif word.startswith("-F"):
            chosen = word[2:]
        else:
            rest.append(word)
    return rest, os.path.abspath(chosen) if chosen and chosen.lower() != "none" else chosen


def check_private(folder: str) -> None:
    """Refuse a folder for kept connections that others could reach through.

    Raises:
        TransportError: It is missing, not ours, a link, or open to others.
    """
    try:
        stat = os.lstat(folder)
    except OSError as error:
        raise TransportError(f"{folder}, the folder for kept connections, can't be read: {error.strerror}") from error
    if stat.st_uid != os.geteuid() or stat.st_mode & 0o170077 != 0o040000:
        raise TransportError(
            f"{folder}, the folder for kept connections, must be a folder of yours with mode 0700",
            hint=f"run: rm -r {shlex.quote(folder)}",
        )


def _check_config(path: str) -> None:
    """Repeat the check that ssh makes of a user's configuration, but not of an included one."""
    try:
        stat = os.stat(path)
    except OSError:
        return
    if stat.st_uid not in {0, os.geteuid()} or stat.st_mode & 0o022:
        raise TransportError(f"{path} is writable by others", hint=f"run: chmod go-w {shlex.quote(path)}")


def _become(user: str) -> str:
    if not re.fullmatch(r"#?[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]*", user):
        raise UsageError(f"{user!r} is no user name")
    return f"-u '{user}' "


_HINTS: Final = (
    ("Permission denied", "load a key with ssh-add, or name one in ~/.ssh/config; plain ssh must work first"),
    ("Host key verification failed", "connect once with plain ssh and compare the host's key"),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "find out why the host's key changed before removing the old one"),
    ("Could not resolve", "check the host's name"),
    ("Connection refused", "check the port, and that sshd runs there"),
    ("timed out", "check that the host is up and reachable from here"),
    ("a password is required", "allow sudo without a password for this user, or push as the user itself"),
    ("a terminal is required", "allow sudo without a password for this user, or push as the user itself"),
)


def explain_exit(host: str, status: int | None, said: str, *, become: str = "") -> TransportError:
    """Give the error for a contact whose command has ended.

    Args:
        host: Whom it was with.
        status: Exit status of the command; None when it still runs.
        said: The end of its standard error, safe for a terminal.
        become: As in ``SshOptions``.
    """
    last = "; ".join(line.strip() for line in said.splitlines()[-3:] if line.strip())
    hint = next((text for sign, text in _HINTS if sign in said), "")
    if status == 127:
        missing, advice = "python3", "install Python 3.11 or newer there"
        if become and "python3" not in said:
            missing, advice = "sudo", f"install sudo there, or connect as {become} itself, without --become"
        return TransportError(
            f"{host} has no {missing} in its PATH" + (f": {last}" if last else ""), hint=hint or advice
        )
    if status == 2 and "Unknown option: -I" in said:
        return TransportError(
            f"{host}: its python3 is older than 3.11: it does not know the option -I",
            hint="install Python 3.11 or newer there, so that python3 in the PATH is it",
        )
    if status == 255:
        return TransportError(
            f"{host}: ssh could not connect, or lost the connection" + (f": {last}" if last else ""),
            hint=hint or "plain ssh to the host must work first; what was sent is kept, the same command goes on",
        )
    return TransportError(
        f"{host}: the agent ended" + (f" with status {status}" if status else "") + (f": {last}" if last else ""),
        hint=hint or "run the same command again; it goes on where this one stopped",
    )
