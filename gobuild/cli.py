"""The `gobuild` program: the same tasks as invoke shows, without a tasks.py.

What invoke's own program does as well, the tasks do themselves: see `gobuild.tasks.boundary`.
"""

import errno
import inspect
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.exceptions import Exit, ParseError, UnknownFileType
from invoke.parser import Argument, ParserContext
from invoke.program import Program
from invoke.util import yaml

from gobuild.core.errors import ConfigError, did_you_mean
from gobuild.core.printable import printable
from gobuild.core.settings import GROUPS
from gobuild.tasks import HEADINGS, ns
from gobuild.tasks.boundary import one_message
from gobuild.tasks.prove.emulate import as_words
from gobuild.tasks.words import CONFIGURATION, NOT

CORE = {
    "help": "show all tasks, or the flags of a task",
    "list": "show the tasks, or those of a group",
    "version": "show gobuild's version",
    "config": "a file of settings more, .yaml or .json",
    "print-completion-script": "print what makes a shell complete words: bash, zsh or fish",
    "list-format": "",
    "list-depth": "",
    "complete": "",
    "debug": "",
    "write-pyc": "",
}
"""invoke's own flags that mean something here, with the help of those that people need.

The others are about commands that a task runs through invoke, as none of ours does.
"""

SETTINGS = CONFIGURATION["gobuild"]

BELOW = "keys and values below gobuild:, such as target: linux/amd64; no tabs"


class _AsWritten(yaml.SafeLoader):
    """Reads YAML's numbers and dates as the words that they are written as: 1.30 is a version of Go, and not 1.3."""


_AsWritten.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":bool", ":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class GobuildConfig(Config):
    """Reads gobuild.yaml where invoke reads invoke.yaml. The environment's prefix stays INVOKE_, as everywhere."""

    file_prefix = "gobuild"  # type: ignore[assignment]  # invoke annotates the unset default only

    def _load_file(self, prefix: str, absolute: bool = False, merge: bool = True) -> None:
        """A home folder that is not ours to look into holds no configuration of ours; any other file must be read."""
        try:
            super()._load_file(prefix, absolute, merge)
        except OSError as error:
            if prefix != "user" or error.errno not in (errno.EACCES, errno.EPERM, errno.ENOTDIR):
                raise

    def _load_yaml(self, path: PathLike[Any]) -> dict[str, object]:
        return _checked(lambda text: yaml.load(text, _AsWritten), path)

    _load_yml = _load_yaml

    def _load_json(self, path: PathLike[Any]) -> dict[str, object]:
        return _checked(lambda text: json.loads(text, parse_float=str), path)


def _checked(load: Callable[[str], object], path: PathLike[Any]) -> dict[str, object]:
    """A configuration file's keys; those below gobuild: may all be commented out.

    What is no such file is refused: merging it would end in a traceback, and a key at the wrong level be passed over.
    """
    try:
        found = load(Path(path).read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where, said = f":{mark.line + 1}" if mark else "", " ".join(str(problem or error).split())
        raise ConfigError(f"the configuration {path}{where} cannot be read: {printable(said)}", BELOW) from error
    except ValueError as error:  # bytes that are no UTF-8, no JSON
        raise ConfigError(f"the configuration {path} cannot be read: {printable(str(error))}", BELOW) from error
    if not isinstance(found, dict):
        raise ConfigError(f"the configuration {path} is a {type(found).__name__}, not keys and values", BELOW)
    if found.get("gobuild") is None:
        found.pop("gobuild", None)
    elif not isinstance(found["gobuild"], dict):
        raise ConfigError(f"{path}: below gobuild: stands {found['gobuild']!r}", BELOW)
    for key in found:
        if key in SETTINGS:
            raise ConfigError(f"{path}: {key} is a setting, and stands beside gobuild:", "put it below gobuild:")
        if key not in (known := ("gobuild", *Config.global_defaults())):
            raise ConfigError(f"{path}: unknown key {key!r}", did_you_mean(str(key), [*known, *SETTINGS], BELOW))
    return found


class GobuildProgram(Program):
    """A program with its tasks built in, that reads the configuration of the folder it is run in all the same."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Runs the tasks; what the system refuses outside of them (a configuration file) is one message as well."""
        try:
            with one_message():
                try:
                    super().run(as_words(argv or sys.argv), exit)
                finally:
                    sys.stdout.flush()
        except Exit as error:
            if error.message:
                print(error.message, file=sys.stderr)
            sys.exit(error.code)

    def core_args(self) -> list[Argument]:
        """The flags that stand before a task; without --dry, which would run everything, and its like."""
        found = [each for each in super().core_args() if each.name in CORE]
        for each in found:
            each.help = CORE[str(each.name)]
        return found

    def update_config(self, merge: bool = True) -> None:
        """Adds the file of --config; there are no flags about commands to be laid over it."""
        path = self.args.config.value or os.environ.get("INVOKE_RUNTIME_CONFIG")
        if path and not Path(path).expanduser().is_file():
            raise ConfigError(f"there is no configuration {path}", "--config FILE.yaml")
        self.config.set_runtime_path(Path(path) if path else None)
        with self._explained():
            self.config.load_runtime(merge=merge)

    def parse_core(self, argv: list[str] | None) -> None:
        """Mistyped words are one message, as all that is wrong."""
        with self._explained():
            super().parse_core(argv)

    def parse_collection(self) -> None:
        """Read it here: invoke loads a project's configuration only together with a tasks.py found on disk."""
        super().parse_collection()
        try:
            self.config.set_project_location(Path.cwd())
        except FileNotFoundError as error:
            raise ConfigError("the folder that this was started in is gone", "cd into one that is there") from error
        self.config.load_project()

    def parse_tasks(self) -> None:
        """Parses the tasks' flags; --help behind a task is about that task, whatever else the task needs."""
        words = self.core.unparsed
        asked = next((at for at, word in enumerate(words) if word in ("--help", "-h")), 0)
        if asked:
            self.parser = self._make_parser()
            of_another = words[asked - 1] in self.parser.contexts and not words[asked - 2].startswith("-")
            self._print_help_of(words[asked - 1 if of_another else 0])
            raise Exit
        with self._explained():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        """Shows help or a list where that was asked for."""
        wanted, style = self.args.help.value, self.args["list-format"].value
        if style not in ("flat", "nested", "json"):
            raise ConfigError(f"no list format {style!r}", did_you_mean(style, ("flat", "nested", "json")))
        with self._explained():
            if isinstance(wanted, str):
                self._print_help_of(wanted)
                raise Exit
            super().parse_cleanup()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what invoke says of words into our messages."""
        try:
            yield
        except ParseError as error:
            raise self._error(str(error), error.context) from error
        except ValueError as error:  # int() of a flag's word
            word = "".join(re.findall("'.*'", str(error)))
            raise ConfigError(f"{word} is not a number", "a whole number; gobuild TASK --help") from error
        except UnknownFileType as error:
            raise ConfigError(f"a configuration of another kind: {error}", "--config FILE.yaml") from error
        except Exit as error:
            if error.message:
                raise self._error(error.message, None) from error
            raise

    def _error(self, said: str, context: ParserContext | None) -> ConfigError:
        """Our message for one of invoke's, whose words tests/tasks/test_words.py pins."""
        quoted = re.search(r"'(.*)'", said)
        word = quoted[1] if quoted else ""
        if said.startswith(("No idea what", "Sub-collection")):
            return self._unknown(word, context if context and context.name else None)
        if missing := re.match(r"Flag <Argument: (\S+?)[ >].* needed value", said):
            name = missing[1]
            flag = (context.args if context and name in context.args else self.initial_context.args)[name]
            return ConfigError(f"{_flag(name)} needs a value", flag.help or "gobuild --help")
        if context and "required positional" in said:
            first = context.missing_positional_args[0]
            hint = f"gobuild {context.name} {_place(first)}: {first.help}"
            return ConfigError(f"{context.name} needs a {first.name}", hint)
        return ConfigError(said[:1].lower() + said[1:].rstrip("!"), "gobuild --help, gobuild TASK --help")

    def _unknown(self, word: str, context: ParserContext | None) -> ConfigError:
        """What is said of a word that is no task, no group and no flag of the task before it."""
        tasks, groups = self._tasks(), list(self.collection.collections)
        flags = list((context or self.initial_context).flags)
        if word in groups:
            inside = ", ".join(f"{word}.{name}" for name in self.collection.collections[word].task_names)
            return ConfigError(f"{word} is a group of tasks", f"one of {inside}")
        if not context and any(word in each.flags for each in self.parser.contexts.values()):
            return ConfigError(f"the flag {word} stands before a task", f"behind it: gobuild TASK {word}")
        if word.startswith("-"):
            where = f"{context.name} has no flag" if context else "there is no flag"
            help_ = f"gobuild {context.name} --help shows its flags" if context else "gobuild --help"
            return ConfigError(f"{where} {word}", did_you_mean(word, flags, help_))
        if context:
            for flag, like in (("--go", r"(go)?1\.\d+.*|(old)?stable"), ("--target", r"[a-z0-9]+/[a-z0-9]+")):
                if flag in flags and re.fullmatch(like, word):
                    return ConfigError(f"{context.name} takes no plain word {word!r}", f"{flag} {word}")
            known = {each.strip("-"): each for each in flags} | {each: each for each in tasks}
            near = get_close_matches(word.lower(), known, 1)
            hint = f"did you mean {known[near[0]]}?" if near else f"gobuild {context.name} --help"
            return ConfigError(f"{context.name} takes no plain word {word!r}", hint)
        hint = did_you_mean(word.lower(), [*tasks, *groups, "--help"], "gobuild --list shows all tasks")
        return ConfigError(f"there is no task {word!r}", hint)

    def _print_help_of(self, name: str) -> None:
        """The help of a task, or the list of a group's tasks."""
        if name in self.parser.contexts:
            self.print_task_help(name)
        else:
            self._print_group(name)

    def _print_group(self, name: str) -> None:
        tasks = [each for each in self._tasks() if name in (each, each.partition(".")[0])]
        if name not in self.collection.collections:
            raise self._unknown(name, None)
        self._print_tasks({name.capitalize(): tasks})

    def print_help(self) -> None:
        """What can be typed, and the tasks."""
        print(f"Usage: {self.binary} TASK [flags]\n       {self.binary} TASK --help\n")
        self.list_flat()
        print("Flags before a task")
        _print_columns(_spec(self.initial_context, each) for each in self.core_args() if each.help)

    def list_flat(self) -> None:
        """The tasks under their headings, a line each."""
        if self.list_root:
            self._print_group(self.list_root)
            return
        tasks = self._tasks()
        shown = {
            title: [each for word in words for each in tasks if word in (each, each.partition(".")[0])]
            for title, words in HEADINGS.items()
        }
        listed = {each for names in shown.values() for each in names}
        self._print_tasks(shown | {"Others": [each for each in tasks if each not in listed]})

    def _tasks(self) -> list[str]:
        """The name of each task; of one that its group stands for, the group's."""
        return sorted(next(iter(aliases), name) for name, aliases in self.collection.task_names.items())

    def _print_tasks(self, shown: dict[str, list[str]]) -> None:
        width = max((len(each) for names in shown.values() for each in names), default=0)
        for title, names in shown.items():
            if names:
                print(title)
                _print_columns(((each, _summary(self.collection[each])) for each in names), width)

    def print_task_help(self, name: str) -> None:
        """A task's usage, its own flags, the settings it takes under their headings, and an example."""
        context, task = self.parser.contexts[name], self.collection[name]
        settings = getattr(task.body, "settings", ())
        places = [each for each in context.args.values() if each.positional]
        own = [each for each in context.args.values() if not each.positional and str(each.name) not in settings]
        print(f"Usage: {self.binary} {' '.join([name, *(_place(each) for each in places)])} [flags]\n")
        text, _, example = (inspect.getdoc(task) or "").partition("\n\nExample: ")
        print("\n\n".join(map(_wrapped, text.split("\n\n"))) + "\n")
        _print_columns((_place(each), each.help or "") for each in places)
        groups = {title: [context.args[each] for each in words if each in settings] for title, words in GROUPS.items()}
        for title, flags in ({"Flags": own} | groups).items():
            if flags:
                print(title)
                _print_columns(_spec(context, each) for each in flags)
        if example:
            print(f"Example\n  {example}")
        if settings:
            print("\nA setting can stand below gobuild: in gobuild.yaml, and in the variable INVOKE_GOBUILD_SETTING.")


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"


def _place(argument: Argument) -> str:
    return str(argument.name).upper()


def _spec(context: ParserContext, argument: Argument) -> tuple[str, str]:
    """A flag as it is typed, also the one that takes it back, and its help."""
    flag, back = _flag(str(argument.name)), _flag(f"{NOT}{argument.name}")
    spec, text = context.help_for(flag)
    spec += "=STRING" if argument.kind is list else ""  # invoke shows no value of a flag that may be repeated
    return f"{spec}, {back}" if back in context.flags else spec, text or ""


def _summary(task: object) -> str:
    return (inspect.getdoc(task) or "").partition("\n\n")[0].replace("\n", " ")


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 120))


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _width(), break_long_words=False, break_on_hyphens=False)


def _print_columns(rows: Iterable[tuple[str, str]], width: int = 0) -> None:
    """Two columns; what is too long for the first has a line of its own."""
    rows = list(rows)
    if not rows:
        return
    width = width or min(26, max(len(name) for name, _ in rows))
    gap = " " * (width + 4)
    for name, text in rows:
        filled = textwrap.fill(
            text, _width(), initial_indent=gap, subsequent_indent=gap, break_long_words=False, break_on_hyphens=False
        )
        if len(name) > width:
            print(f"  {name}")
            print(filled)
        else:
            print(f"  {name:<{width}}{filled[width + 2 :]}")
    print()


program = GobuildProgram(
    name="gobuild", binary="gobuild", namespace=ns, config_class=GobuildConfig, version=version("gobuild")
)


def main() -> None:
    """The entry point of the console script."""
    program.run()
