"""The `gobuild` program: the same tasks as invoke shows, without a tasks.py."""

from importlib.metadata import version
from pathlib import Path

from invoke.config import Config
from invoke.program import Program

from gobuild.errors import ConfigError
from gobuild.tasks import ns


class GobuildConfig(Config):
    """Reads gobuild.yaml where invoke reads invoke.yaml. The environment's prefix stays INVOKE_, as everywhere."""

    file_prefix = "gobuild"  # type: ignore[assignment]  # invoke annotates the unset default only


class GobuildProgram(Program):
    """A program with its tasks built in, that reads the configuration of the folder it is run in all the same."""

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
