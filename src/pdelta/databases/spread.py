"""The same work on many databases, by some threads at once; whoever is stopped meanwhile leaves them behind.

A pool of the standard library is waited for, by whoever ends it and by the interpreter: for ever where a server has
stopped. It also takes 10 ms to import.
"""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def spread(work: Callable[[Item], Value], items: Sequence[Item], width: int) -> list[Value]:
    """Do this with each item, and give what it gave, in order.

    Args:
        work: What is done; called by several threads.
        items: With what.
        width: How many threads at most.

    Raises:
        BaseException: What the work raised first; what is not begun by then is left out.
    """
    found: dict[int, Value] = {}
    waiting: queue.SimpleQueue[tuple[int, Item]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    for numbered in enumerate(items):
        waiting.put(numbered)

    def serve() -> None:
        failure = None
        try:
            for number, item in _taken(waiting):
                found[number] = work(item)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        ended.put(failure)

    begun = 0
    # Where there are no more threads, those that there are do all of it; this one, where there are none.
    with suppress(RuntimeError):
        for _ in range(min(width, len(items))):
            threading.Thread(target=serve, name="asking", daemon=True).start()
            begun += 1
    if not begun:
        serve()
    try:
        for _ in range(begun or 1):
            if (failure := ended.get()) is not None:
                raise failure
    finally:
        list(_taken(waiting))
    return [found[number] for number in range(len(items))]


def _taken(waiting: "queue.SimpleQueue[tuple[int, Item]]") -> Iterator[tuple[int, Item]]:
    """Take what is left, one after the other."""
    with suppress(queue.Empty):
        while True:
            yield waiting.get_nowait()
