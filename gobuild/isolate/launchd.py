"""Writes launchd jobs that run a program through gowrap; the keys and their types are those of launchd.plist(5).

launchd hands a job more environment than its plist says (HOME, PATH, and all that `launchctl setenv` ever set); gowrap
lets through what is allowed here.
"""

import difflib
import plistlib
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from gobuild.core.errors import ConfigError
from gobuild.core.printable import printable
from gobuild.verify import tree

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)+")
"""A job's name, in reverse DNS: it is the plist's file name as well."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ALLOWED = re.compile(r"(?!DYLD_|DY?L?D?\*)[A-Za-z_][A-Za-z0-9_]*\*?")
"""Variables that may pass: by name, or by a beginning that lets nothing of dyld's through."""

SIGNALS = re.compile(r"[A-Za-z0-9]+(,[A-Za-z0-9]+)*")

KEEP: Mapping[str, object] = {"always": True, "crash": {"SuccessfulExit": False}, "never": False}
"""When launchd starts a program again: KeepAlive."""

SECONDS = {"throttle": (1, 86400), "start_limit": (0, 3600), "stop_limit": (1, 3600)}

GRACE = 5
"""Seconds between gowrap's -stop-limit and launchd's own ExitTimeOut, after which launchd kills gowrap itself."""

_SWITCHES = (
    "Disabled EnableTransactions EnablePressuredExit InitGroups StartOnMount Debug WaitForDebugger LowPriorityIO "
    "LowPriorityBackgroundIO MaterializeDatalessFiles LaunchOnlyOnce SessionCreate LegacyTimers"
)
_TEXTS = "UserName GroupName RootDirectory StandardInPath LimitLoadToSessionType Umask AssociatedBundleIdentifiers"

SETTABLE: Mapping[str, tuple[type, str, str]] = {
    name: (kind, pattern, says)
    for kind, pattern, says, names in (
        (str, "Background|Standard|Adaptive|Interactive", "Background, Standard, Adaptive, Interactive", "ProcessType"),
        (str, r"[\s\S]+", "a text", _TEXTS),
        (bool, "true|false", "true or false", _SWITCHES),
        (int, "-?(1?[0-9]|20)", "a number from -20 to 20", "Nice"),
        (int, "-?[0-9]{1,9}", "a whole number", "TimeOut StartInterval"),
    )
    for name in names.split()
}
"""The other keys of launchd.plist(5) that a word can set, and how; Umask as a text is octal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchdJob:
    """A program that launchd keeps running through gowrap; all paths are whole ones on the Mac, all times seconds."""

    label: str
    program: str
    gowrap: str
    arguments: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()  # what gowrap lets through of what launchd hands it: "HOME", "LC_*"
    # Variables that are set. They stand in the plist, which every user of the Mac can read
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    directory: str = ""
    keep: str = "crash"
    throttle: int = 10
    start_limit: int = 0
    ready_file: str = ""
    stop_limit: int = 15
    ignore: str = ""  # signals that the program is started ignoring: "HUP,PIPE"
    # Other keys of launchd.plist(5) that are in `SETTABLE`, as texts: {"Nice": "5"}
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not LABEL.fullmatch(self.label):
            raise ConfigError(f"{self.label!r} is no label", "a name in reverse DNS, such as com.example.service")
        for what in ("program", "gowrap", "output", "directory", "ready_file"):
            if getattr(self, what) or what in ("program", "gowrap"):
                _require_absolute(what, getattr(self, what))
        if self.keep not in KEEP:
            raise ConfigError(f"keep is {self.keep!r}", "one of " + ", ".join(KEEP))
        for what, (least, most) in SECONDS.items():
            if not least <= getattr(self, what) <= most:
                raise ConfigError(f"{what} is {getattr(self, what)}", f"seconds, from {least} to {most}")
        if self.ready_file and not self.start_limit:
            raise ConfigError("a ready file means nothing without a limit for the start-up", "--start-limit 30")
        self._require_words()

    def _require_words(self) -> None:
        for text in (*self.arguments, *self.environment.values()):
            _require_plain(text)
        for word in self.allow:
            if not ALLOWED.fullmatch(word):
                raise ConfigError(f"{word!r} allows no variable", "NAME, PREFIX_* or NAME=value, and nothing of dyld's")
        for name in self.environment:
            if not VARIABLE.fullmatch(name) or name.startswith("DYLD_"):
                raise ConfigError(f"the variable {name!r} cannot be set", "a plain name, and none of dyld's")
        if self.ignore and not SIGNALS.fullmatch(self.ignore):
            raise ConfigError(f"{self.ignore!r} names no signals", "names with commas between them, such as HUP,PIPE")

    def properties(self) -> dict[str, Any]:
        """The property list."""
        words = [self.gowrap, "-stop-limit", f"{self.stop_limit}s"]
        for word in (*self.allow, *self.environment):
            words += ["-env", word]
        words += ["-ignore", self.ignore] if self.ignore else []
        words += ["-start-limit", f"{self.start_limit}s"] if self.start_limit else []
        words += ["-ready-file", self.ready_file] if self.ready_file else []
        made: dict[str, Any] = {
            "Label": self.label,
            "ProgramArguments": [*words, "--", self.program, *self.arguments],
            "EnvironmentVariables": dict(self.environment),
            "KeepAlive": KEEP[self.keep],
            "RunAtLoad": True,
            "ThrottleInterval": self.throttle,
            "ExitTimeOut": self.stop_limit + GRACE,
            "StandardOutPath": self.output,
            "StandardErrorPath": self.output,
            "WorkingDirectory": self.directory,
            **{key: _typed(key, value) for key, value in self.more.items()},
        }
        return {key: value for key, value in made.items() if value not in ("", {})}

    def plist(self) -> bytes:
        """The property list as XML, its keys in the order of the alphabet."""
        return plistlib.dumps(self.properties(), sort_keys=True)


def _typed(key: str, value: str) -> str | bool | int:
    """A text from the command line as the type that its key has."""
    _require_plain(value)
    if key not in SETTABLE:
        near = difflib.get_close_matches(key, SETTABLE, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        hint += "a flag of its own where gobuild decides it; else add it to the plist by hand, then plutil -lint"
        raise ConfigError(f"{printable(key)!r} is no key of launchd.plist(5) that a word can set here", hint)
    kind, pattern, says = SETTABLE[key]
    if not re.fullmatch(pattern, value):
        raise ConfigError(f"the key {key} is {value!r}", says)
    return value == "true" if kind is bool else int(value) if kind is int else value


def _require_plain(text: str) -> None:
    """XML 1.0 cannot carry control characters, and no program's argument a NUL."""
    if printable(text, lines=True) != text:
        said = f"{printable(text)!r} holds what no property list can carry"
        raise ConfigError(said, "text without control characters")


def _require_absolute(what: str, path: str) -> None:
    _require_plain(path)
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or path.endswith("/"):
        hint = "a whole path on the Mac; launchd knows neither ~ nor a current folder"
        raise ConfigError(f"{what} is {path!r}", hint)


def check_program(path: str) -> str:
    """Refuses a program that launchd should not start; where it is not on this machine, says so."""
    file = Path(path)
    if not file.exists():
        return f"{path} is not on this machine: who may write to it, and whether it is a program, was not looked at"
    if not file.is_file() or not file.stat().st_mode & stat.S_IXUSR:
        raise ConfigError(f"{path} is no program", "an executable file")
    found = tree.identify(file)
    if found and found.goos != "darwin":
        raise ConfigError(f"{path} is a program for {found}", "one for darwin")
    for place in (file.resolve(), *file.resolve().parents):
        mode = place.stat().st_mode
        if mode & stat.S_IWOTH and not (place.is_dir() and mode & stat.S_ISVTX):
            raise ConfigError(f"anybody may write to {place}, and so replace {path}", f"chmod o-w {place}")
    return ""
