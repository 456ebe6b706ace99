"""launchd jobs that run a program through gowrap: a job's facts come in, a checked property list goes out.

The keys and their types are those of launchd.plist(5). launchd hands a job more environment than its plist says (HOME,
PATH, and all that `launchctl setenv` ever set); gowrap lets through what is allowed here. Nothing here loads a job.
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

TEXT, FLAG, NUMBER, TEXTS, TABLE = str, bool, int, [str], {str: str}

KEYS: Mapping[str, tuple[object, ...]] = {
    name: kinds
    for kinds, names in (
        (
            (TEXT,),
            """Label UserName GroupName Program BundleProgram RootDirectory WorkingDirectory StandardInPath
            StandardOutPath StandardErrorPath ProcessType""",
        ),
        (
            (FLAG,),
            """Disabled EnableGlobbing EnableTransactions EnablePressuredExit OnDemand RunAtLoad InitGroups
            StartOnMount Debug WaitForDebugger AbandonProcessGroup LowPriorityIO LowPriorityBackgroundIO
            MaterializeDatalessFiles LaunchOnlyOnce SessionCreate LegacyTimers""",
        ),
        ((NUMBER,), "TimeOut ExitTimeOut ThrottleInterval StartInterval Nice"),
        ((TEXTS,), "LimitLoadToHosts LimitLoadFromHosts ProgramArguments WatchPaths QueueDirectories"),
        ((TEXT, TEXTS), "LimitLoadToSessionType AssociatedBundleIdentifiers"),
        ((TEXT, NUMBER), "Umask"),  # a text is octal, a number is not
        ((TABLE,), "EnvironmentVariables"),
        (({str: int},), "SoftResourceLimits HardResourceLimits"),
        (
            (dict,),
            "MachServices Sockets LaunchEvents inetdCompatibility LimitLoadToHardware LimitLoadFromHardware",
        ),
        ((FLAG, dict), "KeepAlive"),
        (({str: int}, [dict]), "StartCalendarInterval"),
    )
    for name in names.split()
}
"""Every key of launchd.plist(5), as macOS documents it, and the types that it may have."""

SIMPLE = {TEXT: "a text", FLAG: "true or false", NUMBER: "a whole number"}
PROCESS_TYPES = ("Background", "Standard", "Adaptive", "Interactive")
OWN = (
    *("Label", "Program", "ProgramArguments", "EnvironmentVariables", "KeepAlive", "ThrottleInterval", "ExitTimeOut"),
    *("RunAtLoad", "WorkingDirectory", "StandardOutPath", "StandardErrorPath"),
    *("AbandonProcessGroup", "EnableGlobbing"),
)
"""Keys that a `Job` decides, and two that would undo what it does: `more` may not name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A program that launchd keeps running through gowrap.

    Attributes:
        label: the job's name: "com.example.service".
        program, gowrap: absolute paths on the Mac.
        arguments: the program's.
        allow: what gowrap lets through of what launchd hands it: "HOME", "LC_*".
        environment: variables that are set. They stand in the plist, which every user of the Mac can read.
        output: the file for standard output and error; empty for none.
        directory: where the program is started; empty for /.
        keep: "always", "crash" (unless it ended with code 0) or "never".
        throttle: the fewest seconds between two starts.
        start_limit: seconds for the start-up; 0 for no limit.
        ready_file: the file that says "ready"; empty for the first output.
        stop_limit: seconds to end in after launchd's SIGTERM.
        ignore: signals that the program is started ignoring: "HUP,PIPE".
        more: other keys of launchd.plist(5), as texts: {"Nice": "5"}.

    Raises:
        ConfigError: a value that launchd or gowrap could not use as it is meant.
    """

    label: str
    program: str
    gowrap: str
    arguments: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    directory: str = ""
    keep: str = "crash"
    throttle: int = 10
    start_limit: int = 0
    ready_file: str = ""
    stop_limit: int = 15
    ignore: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not LABEL.fullmatch(self.label):
            raise ConfigError(f"{self.label!r} is no label", "a name in reverse DNS, such as com.example.service")
        for what in ("program", "gowrap", "output", "directory", "ready_file"):
            if getattr(self, what) or what in ("program", "gowrap"):
                _absolute(what, getattr(self, what))
        if self.keep not in KEEP:
            raise ConfigError(f"keep is {self.keep!r}", "one of " + ", ".join(KEEP))
        for what, (least, most) in SECONDS.items():
            if not least <= getattr(self, what) <= most:
                raise ConfigError(f"{what} is {getattr(self, what)}", f"seconds, from {least} to {most}")
        if self.ready_file and not self.start_limit:
            raise ConfigError("a ready file means nothing without a limit for the start-up", "--start-limit 30")
        if taken := sorted(set(OWN) & set(self.more)):
            raise ConfigError(f"the key {taken[0]} is decided by gobuild", "the flag for it; without --set")
        self._check_words()

    def _check_words(self) -> None:
        for text in (*self.arguments, *self.environment.values()):
            _plain(text)
        for word in self.allow:
            if not ALLOWED.fullmatch(word):
                raise ConfigError(f"{word!r} allows no variable", "NAME, PREFIX_* or NAME=value, and nothing of dyld's")
        for name in self.environment:
            if not VARIABLE.fullmatch(name) or name.startswith("DYLD_"):
                raise ConfigError(f"the variable {name!r} cannot be set", "a plain name, and none of dyld's")
        if self.ignore and not SIGNALS.fullmatch(self.ignore):
            raise ConfigError(f"{self.ignore!r} names no signals", "names with commas between them, such as HUP,PIPE")

    def document(self) -> dict[str, Any]:
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
        made = {key: value for key, value in made.items() if value not in ("", {})}
        check(made)
        return made

    def text(self) -> bytes:
        """The property list as XML, its keys in the order of the alphabet."""
        return plistlib.dumps(self.document(), sort_keys=True)


def check(document: Mapping[str, Any]) -> None:
    """Holds a property list to launchd.plist(5): every key known, every value of its type, a program to run.

    Raises:
        ConfigError: it names the key.
    """
    for key, value in document.items():
        kinds = _kinds(key)
        if not any(_is(value, kind) for kind in kinds):
            raise ConfigError(f"the key {key} is {value!r}", " or ".join(map(_word, kinds)))
    if not document.get("Label") or not (document.get("Program") or document.get("ProgramArguments")):
        raise ConfigError("a job has a Label, and a Program or ProgramArguments", "launchd.plist(5)")
    if document.get("ProcessType", PROCESS_TYPES[0]) not in PROCESS_TYPES:
        raise ConfigError(f"the key ProcessType is {document['ProcessType']!r}", "one of " + ", ".join(PROCESS_TYPES))
    if not -20 <= document.get("Nice", 0) <= 20:
        raise ConfigError(f"the key Nice is {document['Nice']}", "a number from -20 to 20")


def _kinds(key: str) -> tuple[object, ...]:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else "launchd.plist(5) lists them"
        raise ConfigError(f"launchd knows no key {printable(key)!r}", hint)
    return KEYS[key]


def _is(value: object, kind: object) -> bool:
    if isinstance(kind, list):
        return isinstance(value, list) and bool(value) and all(_is(each, kind[0]) for each in value)
    if isinstance(kind, dict):
        of = next(iter(kind.values()))
        return isinstance(value, dict) and all(isinstance(name, str) and _is(each, of) for name, each in value.items())
    if kind is int and isinstance(value, bool):
        return False
    return isinstance(kind, type) and isinstance(value, kind)


def _word(kind: object) -> str:
    if isinstance(kind, list):
        return "a list"
    return SIMPLE.get(kind, "a dictionary") if isinstance(kind, type) else "a dictionary"


def _typed(key: str, value: str) -> object:
    """A text from the command line as the type that its key has."""
    _plain(value)
    kinds = _kinds(key)
    for kind in kinds:
        if kind is FLAG and value in ("true", "false"):
            return value == "true"
        if kind is NUMBER and re.fullmatch(r"-?[0-9]{1,9}", value):
            return int(value)
        if kind is TEXT and value:
            return value
    simple = " or ".join(SIMPLE[kind] for kind in kinds if isinstance(kind, type) and kind in SIMPLE)
    if not simple:
        raise ConfigError(f"the key {key} cannot be set from a word", "add it to the plist by hand, then plutil -lint")
    raise ConfigError(f"the key {key} is {value!r}", simple)


def _plain(text: str) -> None:
    """XML 1.0 cannot carry control characters, and no program's argument a NUL."""
    if printable(text, lines=True) != text:
        raise ConfigError(
            f"{printable(text)!r} holds what no property list can carry", "text without control characters"
        )


def _absolute(what: str, path: str) -> None:
    _plain(path)
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or path.endswith("/"):
        raise ConfigError(
            f"{what} is {path!r}", "a whole path on the Mac; launchd knows neither ~ nor a current folder"
        )


def inspect(path: str) -> str:
    """Looks at a program of a job, where this machine has it.

    Returns:
        "" where it is fit to be started by launchd; otherwise why that could not be seen here.

    Raises:
        ConfigError: it is no program for a Mac, or anybody may replace it.
    """
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
