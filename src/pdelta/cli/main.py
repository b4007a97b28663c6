"""The entry point of the ``pdelta`` command.

Answers ``--version`` and starts the remote end without importing a command-line library
(measured: click and what it imports cost 20–35 ms of a 17 ms interpreter start); everything
else goes through the lazily loaded commands, while ssh is on its way where the same words led
to a host before.
"""

import _signal  # type: ignore[import-not-found]  # what ``signal`` gives names to, which takes 4 ms
import os
import sys

from pdelta.cli.place import control_folder
from pdelta.cli.streams import Output, Streams
from pdelta.transports.headstart import HEADSTARTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

_STOPS = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)
"""The signals that ask a command to stop."""

_LOOKING = frozenset({"apply", "drift", "rollback", "status"})
"""The commands of SQL that ask the database first of all."""

_ASK_AGAIN_S = 0.005
"""A stop that can't be obeyed at this moment is tried again after this time."""


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run one command and give the exit status of docs/reference/exit-codes.md.

    Args:
        arguments: Without the program's name; the process's own when omitted.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    streams = None
    if arguments is None:
        import gc

        # Nothing that is imported is garbage before the process ends: looking for some takes 5 ms meanwhile.
        # ``lazy`` turns it on again, for what the command itself does.
        gc.disable()
        if _agent_roots(words) is None:
            # An agent speaks to a pdelta there, and must not go on where that is gone.
            streams = Streams()
    before = {number: _signal.getsignal(number) for number in (*_STOPS, _signal.SIGALRM)}
    ends: list[Callable[[], None]] = []
    try:
        status = _run(words, ends)
        if streams is not None:
            status = streams.end(status)
    except KeyboardInterrupt:
        # It came while something was being imported, or again while the first one was told.
        status = 130
        if streams is not None:
            streams.give_up()
    finally:
        _hear_no_more(before)
        HEADSTARTS.end()
        for end in ends:
            end()
    if arguments is None:
        _leave(status)
    else:
        # What the caller starts next would inherit that these are ignored, and live on when it is asked to end.
        for number, handler in before.items():
            _signal.signal(number, handler)
    return status


def _hear_no_more(before: "Mapping[int, object]") -> None:
    """Ignore what asks to stop: an interpreter that is ending would die of it, and lose the exit status."""
    for number in _STOPS:
        _signal.signal(number, _signal.SIG_IGN)
    if _signal.getsignal(_signal.SIGALRM) is _stop:
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        _signal.signal(_signal.SIGALRM, before[_signal.SIGALRM])


def _leave(status: int) -> None:
    """End the process, as everything is done: to take the interpreter apart takes another 5 to 10 ms.

    It comes back where somebody still waits for that: a thread that is no daemon, or whoever hears that an agent's last
    words can't be written.
    """
    import atexit

    threading = sys.modules.get("threading")
    own = threading.main_thread() if threading is not None else None
    if threading is not None and any(one is not own and not one.daemon for one in threading.enumerate()):
        return
    atexit._run_exitfuncs()  # noqa: SLF001 - what Python does at its own end, and ``multiprocessing`` before it
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return  # an agent's own; Python tells what it thinks of that
    os._exit(status)


def _run(words: list[str], ends: "list[Callable[[], None]]") -> int:
    """Run one command; what is to be called in any case, once nothing stops us any more, is added to ``ends``."""
    if words in (["--version"], ["-V"]):
        from pdelta import __version__

        sys.stdout.write(f"pdelta {__version__}\n")
        return 0
    roots = _agent_roots(words)
    if roots is not None:
        import gc

        from pdelta.app.serve import serve_forced

        gc.enable()
        return serve_forced(roots)
    HEADSTARTS.begin(words, os.environ, control_folder(os.environ))
    if words[:1] != ["agent"]:
        # Whoever ends a command so wants it to stop as Ctrl-C does, and to hear where it stopped. He whose terminal is
        # gone hears nothing, but what was started is ended; with nohup, or behind a script's `&`, it goes on.
        for number in _STOPS:
            if number == _signal.SIGTERM or _signal.getsignal(number) is not _signal.SIG_IGN:
                _signal.signal(number, _stop)
        # Whoever started us may have left it ignored or blocked; then a stop that is put off would never come.
        _signal.signal(_signal.SIGALRM, _stop)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGALRM])
    try:
        from pdelta.cli.late import import_late

        import_late("pathlib", "msgspec")
        if words[:1] == ["sql"] and _LOOKING & set(words[1:2]):
            from pdelta.cli.ahead import begin

            begin(words, ends)
        import_late("click")
        from pdelta.cli.command_line import run
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped on request before anything began; nothing was changed\n")
        return 130
    return run(words)


def _stop(number: int, frame: "FrameType | None") -> None:  # noqa: ARG001 - a handler's signature
    """Stop what is being done; a little later where a module is being imported, or something written.

    In an import the exception would be lost in the callback of a module's lock, or end the process: msgspec, which
    makes a class of each message, does not survive it (a segmentation fault, in one of fifty interrupts in the first
    tenth of a second). It would be lost as well in the callback of a set that forgets a thread.
    """
    # Who called us may be importing something himself, for as long as this lasts.
    while frame is not None and frame.f_code is not main.__code__:
        is_writing = frame.f_code is Output.write.__code__
        file = frame.f_code.co_filename
        is_lost = file.startswith("<frozen importlib") or file.endswith("/_weakrefset.py")
        if is_lost or (is_writing and Output.lets_wait()):
            _signal.setitimer(_signal.ITIMER_REAL, _ASK_AGAIN_S)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _agent_roots(words: "Sequence[str]") -> list[bytes] | None:
    """Give the folders of ``agent --root FOLDER``; None where the words say anything else."""
    if words[:1] != ["agent"]:
        return None
    roots = []
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        if name != "--root":
            return None
        roots.append(os.fsencode(value if equals else next(rest, "")))
    return roots if all(roots) else None
