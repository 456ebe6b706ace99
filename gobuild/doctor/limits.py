"""A bound on work that nobody can interrupt: reading from a dead network folder, or a server that never ends."""

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class OutOfTime(Exception):
    """The work goes on in a thread of its own, which ends with the program; its result is not waited for."""


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Does some work in another thread, and waits for it no longer than that.

    Raises:
        OutOfTime: it has not ended.
        Exception: whatever the work raises.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if failed:
        raise failed[0]
    if not done:
        raise OutOfTime
    return done[0]
