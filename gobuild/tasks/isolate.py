"""The tasks that run Go apart: gowrap is compiled, a launchd job and a virtual machine are written down."""

import re
import tempfile
from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, os_errors_as_ours
from gobuild.core.model import Target
from gobuild.core.process import run
from gobuild.tasks.words import interruptible


def _number(what: str, text: str) -> int:
    """A whole number from the command line; invoke's own conversion ends in a traceback."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ConfigError(f"{what} is {text!r}", "a whole number")
    return int(text)


@task(
    help={
        "goroot": "the folder of a Go toolchain that runs here",
        "target": "the GOOS/GOARCH that gowrap is for; by default this machine's",
        "to": "the file to write",
    },
    auto_shortflags=False,
)
def gowrap(_context: Context, goroot: str = "", target: str = "", to: str = "gowrap") -> None:
    """Compiles gowrap, the launch wrapper, by any toolchain from Go 1.21 on."""
    from gobuild.isolate import gowrap as wrapper

    if not goroot:
        raise ConfigError("which toolchain?", "--goroot build/go1.22.10-….linux-amd64/go")
    chosen = Target.parse(target) if target else Target.host()
    doing, made = os_errors_as_ours("compiling gowrap"), Path(to).expanduser()
    if made.is_dir():
        raise ConfigError(f"{made} is a folder", "--to with the file to write")
    with doing, interruptible(), tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        wrapper.build(Path(goroot).expanduser(), chosen, made, scratch=Path(scratch), run=run)
    Console().say(f"wrote {made} for {chosen}, sha256 {files.sha256(made)}")


@task(
    help={
        "label": "the job's name: com.example.service",
        "program": "the program's whole path on the Mac",
        "gowrap": "gowrap's whole path on the Mac",
        "argument": "an argument of the program's; may be repeated",
        "env": "NAME or PREFIX_* to let through, NAME=value to set; may be repeated",
        "output": "the file on the Mac for what the program writes",
        "directory": "where it is started; / if not said",
        "keep": "when it is started again: always, crash (unless it ended with code 0) or never",
        "throttle": "the fewest seconds between two starts",
        "start_limit": "seconds until its first output, or its ready file; 0 for no limit",
        "ready_file": "a file that it makes when it is ready",
        "stop_limit": "seconds to end in when launchd asks",
        "ignore": "signals that it is started ignoring: HUP,PIPE",
        "set": "another key of launchd.plist(5), KEY=VALUE; may be repeated",
        "to": "the folder to write LABEL.plist to",
    },
    iterable=["argument", "env", "set"],
    auto_shortflags=False,
)
def launchd(  # noqa: PLR0913, PLR0917  (invoke makes a flag of each)
    _context: Context,
    label: str = "",
    program: str = "",
    gowrap: str = "",
    argument: list[str] | None = None,
    env: list[str] | None = None,
    output: str = "",
    directory: str = "",
    keep: str = "crash",
    throttle: str = "10",
    start_limit: str = "0",
    ready_file: str = "",
    stop_limit: str = "15",
    ignore: str = "",
    set: list[str] | None = None,
    to: str = ".",
) -> None:
    """Writes a launchd job that runs a program through gowrap, held to launchd.plist(5)."""
    from gobuild.isolate import launchd as jobs

    if not (label and program and gowrap):
        raise ConfigError("a job needs a label and two programs", "--label L --program /…/service --gowrap /…/gowrap")
    words, more = env or [], [word.partition("=") for word in set or []]
    if not all(name and equals for name, equals, _ in more):
        raise ConfigError("--set takes KEY=VALUE", "--set Nice=5")
    job = jobs.LaunchdJob(
        label=label,
        program=program,
        gowrap=gowrap,
        arguments=tuple(argument or ()),
        allow=tuple(word for word in words if "=" not in word),
        environment={name: value for name, equals, value in (word.partition("=") for word in words) if equals},
        output=output,
        directory=directory,
        keep=keep,
        throttle=_number("throttle", throttle),
        start_limit=_number("start_limit", start_limit),
        ready_file=ready_file,
        stop_limit=_number("stop_limit", stop_limit),
        ignore=ignore,
        more={name: value for name, _, value in more},
    )
    console, path = Console(), Path(to).expanduser() / f"{label}.plist"
    text = job.plist()
    with os_errors_as_ours(f"writing {path}"):
        for each in (program, gowrap):
            if doubt := jobs.check_program(each):
                console.warn(doubt)
        files.write(path, text)
        path.chmod(0o644)
    console.say(f"wrote {path}; on the Mac: plutil -lint it, then launchctl bootstrap gui/$UID (or system) with it")


@task(
    help={
        "archive": "the .tar.gz of a toolchain for linux/arm64",
        "disk": "the whole path, on the Mac, of a raw arm64 cloud image",
        "to": "the folder to make",
        "name": "the machine's name",
        "cpus": "how many CPUs it has",
        "memory": "how much memory, in MiB",
        "ssh_key": "a public key file: the machine gets a network, and this key may log in",
    },
    auto_shortflags=False,
)
def vm(
    _context: Context,
    archive: str = "",
    disk: str = "",
    to: str = "",
    name: str = "gobuild",
    cpus: str = "2",
    memory: str = "2048",
    ssh_key: str = "",
) -> None:
    """Writes what vfkit needs to run a linux/arm64 toolchain on a Mac, in a machine without a GPU."""
    from gobuild.isolate import vm as machines

    if not (archive and disk and to):
        raise ConfigError(
            "a machine needs a toolchain, a disk and a folder", "--archive A --disk /…/debian.raw --to DIR"
        )
    folder = Path(to).expanduser()
    with os_errors_as_ours(f"writing {folder}"), interruptible():
        key = machines.read_key(Path(ssh_key)) if ssh_key else ""
        machine = machines.Machine(
            disk=disk, name=name, cpus=_number("cpus", cpus), memory=_number("memory", memory), key=key
        )
        stamp = machines.write(machine, Path(archive).expanduser(), folder)
    Console().say(f"wrote {folder} for {stamp}; take it to the Mac, and there: {folder.name}/run.sh")
