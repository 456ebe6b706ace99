"""The `gobuild` program: the same tasks as invoke shows, without a tasks.py."""

import errno
import sys
from collections.abc import Callable
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.exceptions import Exit
from invoke.program import Program
from invoke.util import yaml

from gobuild.core.errors import ConfigError
from gobuild.core.printable import printable
from gobuild.tasks import ns
from gobuild.tasks.boundary import one_message
from gobuild.tasks.emulate import as_words


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
        return _checked(super()._load_yaml, path)

    _load_yml = _load_yaml

    def _load_json(self, path: PathLike[Any]) -> dict[str, object]:
        return _checked(super()._load_json, path)


def _checked(load: Callable[[PathLike[Any]], object], path: PathLike[Any]) -> dict[str, object]:
    """A configuration file's keys; those below gobuild: may all be commented out.

    What is no such file is refused: merging it would end in a traceback.
    """
    hint = "keys and values below gobuild:, such as target: linux/amd64; no tabs"
    try:
        found = load(path) or {}
    except (ValueError, yaml.YAMLError) as error:  # bytes that are no UTF-8, no JSON; no YAML
        said = " ".join(str(error).split())
        raise ConfigError(f"the configuration {path} cannot be read: {printable(said)}", hint) from error
    if not isinstance(found, dict):
        raise ConfigError(f"the configuration {path} is a {type(found).__name__}, not keys and values", hint)
    if found.get("gobuild") is None:
        found.pop("gobuild", None)
    elif not isinstance(found["gobuild"], dict):
        raise ConfigError(f"{path}: below gobuild: stands {found['gobuild']!r}", hint)
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

    def parse_collection(self) -> None:
        """Read it here: invoke loads a project's configuration only together with a tasks.py found on disk."""
        super().parse_collection()
        try:
            self.config.set_project_location(Path.cwd())
        except FileNotFoundError as error:
            raise ConfigError("the folder that this was started in is gone", "cd into one that is there") from error
        self.config.load_project()


program = GobuildProgram(
    name="gobuild", binary="gobuild", namespace=ns, config_class=GobuildConfig, version=version("gobuild")
)


def main() -> None:
    """The entry point of the console script."""
    program.run()
