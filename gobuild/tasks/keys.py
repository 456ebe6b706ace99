"""The tasks about keys: one is made, or its public half is shown. No secret is ever printed."""

from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core.console import Console
from gobuild.core.errors import ConfigError
from gobuild.publish.sumdb.note import NoteSigner


@task(
    help={
        "to": "the file for the secret key; there must be none yet",
        "name": "the checksum database's name: a host of yours and perhaps a path, acme.example/sumdb",
    },
    auto_shortflags=False,
)
def new(_context: Context, to: str = "", name: str = "") -> None:
    """Makes a key for a checksum database of your toolchains, and shows the public half."""
    if not to or not name:
        raise ConfigError("a new key needs a file and a name", "--to FILE --name acme.example/sumdb")
    signer, path = NoteSigner.new(name), Path(to).expanduser()
    signer.write_file(path)
    console = Console()
    console.say(str(signer.verifier))
    console.say(f"the secret half is in {path}: keep it from everybody, and keep a copy; lost, the log ends")


@task(help={"key": "the file that keys.new made"}, auto_shortflags=False)
def show(_context: Context, key: str = "") -> None:
    """Shows the public half of a key: what users set GOSUMDB to."""
    if not key:
        raise ConfigError("which key?", "--key FILE")
    Console().say(str(NoteSigner.read_file(Path(key).expanduser()).verifier))
