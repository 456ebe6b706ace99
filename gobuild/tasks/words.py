"""Words on the command line, to `Settings`: every field of theirs is a flag of every task that takes them."""

import difflib
import inspect
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from invoke import task
from invoke.context import Context
from invoke.tasks import Task

from gobuild.core.errors import ConfigError, Interrupted
from gobuild.core.goversion import Target
from gobuild.core.settings import NO_HOME, Settings

HELP: dict[str, str] = {entry.name: entry.metadata["help"] for entry in fields(Settings)}
"""What each setting's flag means."""

_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD

HELP_DROP = "a platform that formulae may leave behind, such as darwin/amd64; more with commas"

CONFIGURATION: dict[str, dict[str, None]] = {"gobuild": {entry.name: None for entry in fields(Settings)}}
"""The keys invoke looks for in the environment (INVOKE_GOBUILD_KEY); None is "not said"."""

VARIABLES = "INVOKE_GOBUILD_"
"""What the name of a setting's variable begins with."""

NOT = "no_"
"""What begins the flag that takes a yes in a file or a variable back."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which a user, a system or a closed terminal ends a run."""


SettingsTask = Task[Callable[..., None]]


def flagged(*, name: str | None = None, default: bool = False) -> Callable[[Callable[..., None]], SettingsTask]:
    """Makes a task of a function, whose parameters are `Annotated` with their flags' help; lists may be repeated."""

    def make(body: Callable[..., None]) -> SettingsTask:
        hints = get_type_hints(body)
        lists = [word for word, kind in hints.items() if list[str] in get_args(kind)]
        made = task(body, name=name, default=default, help=_help_of(body), iterable=lists, auto_shortflags=False)
        return cast(SettingsTask, made)

    return make


def _help_of(body: Callable[..., None]) -> dict[str, str]:
    kinds = get_type_hints(body, include_extras=True)
    return {name: kind.__metadata__[0] for name, kind in kinds.items() if get_origin(kind) is Annotated}


def with_settings(
    *, help: Mapping[str, str] | None = None, name: str | None = None
) -> Callable[[Callable[..., None]], SettingsTask]:
    """Makes a task as `flagged` does, of a function that takes any words besides: every setting is a flag of it.

    invoke reads flags from a function's signature: this one is written from the fields of `Settings`. What the function
    names itself, between the context and its **words, are flags of this task alone; one without a default is a
    positional argument, as in `tap.check PATH`. `help` is for settings that mean something else here.
    """

    def make(body: Callable[..., None]) -> SettingsTask:
        first, *rest = inspect.signature(body).parameters.values()
        own = [each.replace(kind=_PLAIN) for each in rest if each.kind is not inspect.Parameter.VAR_KEYWORD]
        own.sort(key=lambda each: each.default is not inspect.Parameter.empty)
        taken = {each.name for each in own}
        settings = [
            inspect.Parameter(entry.name, _PLAIN, default=False if entry.type is bool else None)
            for entry in fields(Settings)
            if entry.name not in taken
        ]
        back = [each.replace(name=NOT + each.name) for each in settings if each.default is False]
        body.__signature__ = inspect.Signature([first, *own, *settings, *back])  # type: ignore[attr-defined]
        helps = HELP | {each.name: f"not {each.name.removeprefix(NOT)}, whatever a file says" for each in back}
        lists = [word for word, kind in get_type_hints(body).items() if list[str] in get_args(kind)]
        helps = helps | _help_of(body) | dict(help or {})
        made = task(body, name=name, help=helps, iterable=lists, auto_shortflags=False)
        return cast(SettingsTask, made)

    return make


def settings_of(context: Context, words: dict[str, Any]) -> Settings:
    """Lays the flags over the environment over the config files over the defaults."""
    _known_variables()
    configured = context.config.get("gobuild") or {}
    if not hasattr(configured, "items"):
        raise ConfigError(f"the configuration's key gobuild is {configured!r}", "keys and values below gobuild:")
    said = {key: value for key, value in words.items() if value is not False and not key.startswith(NOT)}
    for key in (key for key, value in words.items() if key.startswith(NOT) and value):
        flag = key.removeprefix(NOT)
        if words.get(flag):
            raise ConfigError(f"--{flag} and --no-{flag} were both given", "one of them")
        said[flag] = False
    settings = Settings.of(dict(configured.items()), said)
    if settings.cache == NO_HOME and "cache" in words:
        raise ConfigError("no home folder is known, so there is no place for the cache", "--cache DIR, or a HOME")
    return settings


def _known_variables() -> None:
    """Refuses a variable that means a setting and misses it: invoke passes it over."""
    known = {f"{VARIABLES}{key.upper()}": key for key in CONFIGURATION["gobuild"]}
    for name in sorted(os.environ):
        if name.startswith(VARIABLES) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ConfigError(
                f"the variable {name} is no setting",
                f"did you mean {near[0]}?" if near else "one of " + ", ".join(known.values()),
            )


def targets(words: str) -> frozenset[Target]:
    """Targets with commas between them."""
    return frozenset(map(Target.parse, split_words(words)))


def split_words(text: str) -> tuple[str, ...]:
    """A list with commas in it."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def path_of(word: str) -> Path | None:
    """The path that a flag names; None where it was not said."""
    return Path(word).expanduser() if word else None


def file_to_write(word: str, flag: str) -> Path | None:
    """The same of a file that a task will make when its work is done: refused now where it cannot be one."""
    path = path_of(word)
    if path:
        above = next(each for each in path.absolute().parents if each.exists())
        if path.is_dir() or not os.access(above, os.W_OK):
            raise ConfigError(f"{path} is a folder, or in one that takes no files", f"{flag} with the name of a file")
    return path


@contextmanager
def interruptible() -> Iterator[None]:
    """Turns Ctrl-C, SIGTERM and a closed terminal into one message and exit code 130, after a clean-up.

    Once one of them has come, further ones are not heard: the clean-up takes seconds and must not be cut short.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        # Not by a console or a stream: one of them may be in the middle of a line. Nobody may read it any more.
        with suppress(OSError):
            os.write(2, b"interrupted: removing what is half made\n")
        raise KeyboardInterrupt

    # What the caller ignores (nohup, a shell's background) stays ignored.
    heard = [each for each in STOPPING if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, stop) for each in heard}
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; what was half made is removed", "the same words again") from error
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
