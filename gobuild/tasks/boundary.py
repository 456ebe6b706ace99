"""The one boundary around every task: words that say nothing, signals, and what the system refuses end in one message.

It is laid around a whole collection, so that a task needs nothing of its own for it, and a new one is within it by
itself, through `gobuild` and through a plain `invoke` alike.
"""

import functools
import inspect
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from invoke import Collection
from invoke.exceptions import Exit

from gobuild.core.errors import ConfigError, GobuildError, os_errors_as_ours
from gobuild.core.printable import printable
from gobuild.tasks.words import interruptible, require_known_variables

MAY_BE_EMPTY = ("suffix", "argument")
"""Words for which "" says something: no suffix, and an empty argument for somebody's program."""

PLACES = ("to", "work", "cache", "dist", "store", "report", "html", "bundle", "bottles")
"""Flags that name a place to write to."""

PIPE_CLOSED = 141
"""How a shell reports an end by SIGPIPE."""


@contextmanager
def one_message(flags: Iterable[str] = ()) -> Iterator[None]:
    """Turns every failure that we know into one message and an exit code; hints name the task's flags for places."""
    places = " or ".join(f"--{each}" for each in PLACES if each in set(flags))
    try:
        with os_errors_as_ours(places):
            yield
    except GobuildError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            _unless_output_is_read()
        raise Exit(message=printable(str(error), lines=True), code=error.exit_code) from error
    except RuntimeError as error:
        if "home directory" not in str(error):
            raise
        ours = ConfigError("no home folder is known, for which ~ stands", "a whole path, or the variable HOME")
        raise Exit(message=str(ours), code=ours.exit_code) from error


def _unless_output_is_read() -> None:
    """Ends quietly where it is our own output that nobody reads any more."""
    pipe = select.poll()
    pipe.register(sys.stdout.fileno(), 0)
    if any(event & (select.POLLERR | select.POLLHUP) for _, event in pipe.poll(0)):
        # What is still in the buffer would fail once more, and be told, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise Exit(code=PIPE_CLOSED) from None


def guard(collection: Collection) -> None:
    """Lays the boundary around every task of a collection and of those in it."""
    for each in collection.tasks.values():
        if not hasattr(each.body, "guarded"):
            each.body = _guarded(each.body)
    for group in collection.collections.values():
        guard(group)


def _guarded(body: Callable[..., None]) -> Callable[..., None]:
    """The same task within the boundary.

    A word whose default is "" cannot be told from one that was given as '': here its default is None, and what was
    not given does not reach the body.
    """
    signature = inspect.signature(body)
    context, *rest = signature.parameters.values()
    shown = [each.replace(default=None) if each.default == "" else each for each in rest]

    @functools.wraps(body)
    def guarded(*given: object, **named: object) -> None:
        with one_message(signature.parameters), interruptible():
            require_known_variables()
            words = guarded_signature.bind(*given, **named).arguments
            first = words.pop(context.name)
            body(first, **{key: value for key, value in words.items() if not _unsaid(signature.parameters[key], value)})

    guarded_signature = signature.replace(parameters=[context, *shown])
    guarded.__signature__ = guarded_signature  # type: ignore[attr-defined]
    guarded.guarded = True  # type: ignore[attr-defined]
    return guarded


def _unsaid(parameter: inspect.Parameter, value: object) -> bool:
    """Whether nothing was said; an empty word is refused."""
    words = value if isinstance(value, list) else [value]
    needed = parameter.default is inspect.Parameter.empty
    if needed and value in ("--help", "-h"):  # invoke's own program takes it for the word
        raise ConfigError(f"{value} stands where a {parameter.name} belongs", "invoke --help TASK, gobuild TASK --help")
    if parameter.name not in MAY_BE_EMPTY and any(isinstance(each, str) and not each.strip() for each in words):
        flag = parameter.name.strip("_").replace("_", "-")
        raise ConfigError(
            f"{'a ' + flag if needed else '--' + flag} is an empty word",
            "a shell variable that is not set may stand there",
        )
    return value is None and parameter.default == ""
