"""Words on the command line, to `Settings`: every field of theirs is a flag of every task that takes them."""

import inspect
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from invoke import task
from invoke.context import Context
from invoke.tasks import Task

from gobuild.core.errors import ConfigError, Interrupted, did_you_mean
from gobuild.core.goversion import Target
from gobuild.core.settings import GROUPS, NO_HOME, Settings

HELP: dict[str, str] = {entry.name: entry.metadata["help"] for entry in fields(Settings)}
"""What each setting's flag means."""

HELP_DETAILS = "show all that was seen, not only what failed"

SOURCE = ("Go and its source", "Target", "series", "extends", "without", "extra", "cache")
"""The settings that say which source, and which patches for it."""

STORE = ("store", "shared_store", "cache")
"""The settings that say which store."""

_PLAIN = inspect.Parameter.POSITIONAL_OR_KEYWORD

HELP_DEPRECATE = "formulae of lines that get no fixes any more say so: brew warns who installs them"
HELP_DROP = "a platform that formulae may leave behind, such as darwin/amd64; more with commas"

CONFIGURATION: dict[str, dict[str, None]] = {"gobuild": {entry.name: None for entry in fields(Settings)}}
"""The keys invoke looks for in the environment (INVOKE_GOBUILD_KEY); None is "not said"."""

VARIABLES = "INVOKE_GOBUILD_"
"""What the name of a setting's variable begins with."""

OURS = "GOBUILD_"

OTHER_VARIABLES = ("GOBUILD_SIGN_PASSWORD", "GOBUILD_TRACE", "GOBUILD_ALLOW_SWITCH")
"""The variables that publish and patched toolchains know."""

NOT = "no_"
"""What begins the flag that takes a yes in a file or a variable back."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals by which a user, a system or a closed terminal ends a run."""


DEFAULTS = Settings()

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
    """The help of a function's own flags, with their defaults."""
    kinds, parameters = get_type_hints(body, include_extras=True), inspect.signature(body).parameters
    return {
        name: _with_default(kind.__metadata__[0], parameters[name].default)
        for name, kind in kinds.items()
        if get_origin(kind) is Annotated
    }


def _with_default(text: str, default: object) -> str:
    """A flag's help and what holds where it is not given, if that is a word."""
    words = "" if default in (None, False, 0, inspect.Parameter.empty) else str(default)
    with suppress(RuntimeError):
        words = words.replace(str(Path.home()), "~") if isinstance(default, Path) else words
    return f"{text} [{words}]" if words and "default" not in text else text


def with_settings(
    *takes: str, help: Mapping[str, str] | None = None, name: str | None = None
) -> Callable[[Callable[..., None]], SettingsTask]:
    """Makes a task as `flagged` does, of a function that takes any words besides: settings are flags of it.

    invoke reads flags from a function's signature: this one is written from the fields of `Settings`, those that
    `takes` names, singly or by their group; all where it names none. What the function names itself, between the
    context and its **words, are flags of this task alone; one without a default is a positional argument, as in
    `tap.check PATH`. `help` is for settings that mean something else here.
    """
    chosen = {word for each in takes or GROUPS for word in GROUPS.get(each, (each,))}

    def make(body: Callable[..., None]) -> SettingsTask:
        first, *rest = inspect.signature(body).parameters.values()
        own = [each.replace(kind=_PLAIN) for each in rest if each.kind is not inspect.Parameter.VAR_KEYWORD]
        own.sort(key=lambda each: each.default is not inspect.Parameter.empty)
        taken = {each.name for each in own}
        settings = [
            inspect.Parameter(entry.name, _PLAIN, default=False if entry.type is bool else None)
            for entry in fields(Settings)
            if entry.name in chosen - taken
        ]
        back = [each.replace(name=NOT + each.name) for each in settings if each.default is False]
        body.__signature__ = inspect.Signature([first, *own, *settings, *back])  # type: ignore[attr-defined]
        body.settings = {each.name for each in (*settings, *back)}  # type: ignore[attr-defined]  # for the help
        helps = {each.name: _with_default(HELP[each.name], getattr(DEFAULTS, each.name)) for each in settings}
        helps |= {
            each.name: f"take --{each.name.removeprefix(NOT).replace('_', '-')} of a file or a variable back"
            for each in back
        }
        lists = [word for word, kind in get_type_hints(body).items() if list[str] in get_args(kind)]
        helps |= _help_of(body) | dict(help or {})
        made = task(body, name=name, help=helps, iterable=lists, auto_shortflags=False)
        return cast(SettingsTask, made)

    return make


def settings_of(context: Context, words: dict[str, Any]) -> Settings:
    """Lays the flags over the environment over the config files over the defaults."""
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


def require_known_variables() -> None:
    """Refuses a variable that means a setting and misses it: invoke passes it over.

    Other programs may have variables that begin with GOBUILD_, as Makefiles do: of these, only what looks like ours.
    """
    settings = {key.upper(): VARIABLES + key.upper() for key in CONFIGURATION["gobuild"]}
    ours = settings | {name.removeprefix(OURS): name for name in OTHER_VARIABLES}
    for name in sorted(os.environ):
        if name.startswith(VARIABLES) and name not in settings.values():
            raise ConfigError(f"the variable {name} is no setting", did_you_mean(name, settings.values()))
        if name.startswith(OURS) and name not in OTHER_VARIABLES:
            near = get_close_matches(name.removeprefix(OURS), ours, 1, cutoff=0.75)
            if near:
                raise ConfigError(f"the variable {name} is no setting", f"did you mean {ours[near[0]]}?")


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
