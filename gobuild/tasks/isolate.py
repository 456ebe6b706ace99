"""The tasks that keep Go apart from what disturbs it: gowrap, a launchd job, a virtual machine, container images."""

import re
import tempfile
from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console, amount
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.tasks.words import settings_of, targets


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
    from gobuild.isolate import programs

    if not goroot:
        raise ConfigError("which toolchain?", "--goroot build/go1.22.10-….linux-amd64/go")
    chosen = Target.parse(target) if target else Target.host()
    made = Path(to).expanduser()
    if made.is_dir():
        raise ConfigError(f"{made} is a folder", "--to with the file to write")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch:
        programs.build_gowrap(Path(goroot).expanduser(), chosen, made, scratch=Path(scratch), run=run)
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
    machine = machines.Machine(
        disk=disk,
        name=name,
        cpus=_number("cpus", cpus),
        memory=_number("memory", memory),
        key=machines.read_key(Path(ssh_key)) if ssh_key else "",
    )
    stamp = machines.write_folder(machine, Path(archive).expanduser(), folder)
    Console().say(f"wrote {folder} for {stamp}; take it to the Mac, and there: {folder.name}/run.sh")


@task(
    help={
        "to": "the image layout's folder; an earlier one of gobuild's there is replaced",
        "dist": "the folder of finished builds",
        "stamp": "which of them, where it holds several",
        "image": "test or toolchain; by default both",
        "platform": "linux/amd64, linux/arm64, or both with a comma; by default all that are to be had",
        "goroot": "a toolchain of that stamp which runs here, for the test program; by default dist's for this machine",
        "asyncpreemptoff": "set GODEBUG=asyncpreemptoff=1 in the test image",
        "certificates": "a PEM file of TLS roots to put into the images; without it they trust nobody",
        "label": "KEY=VALUE, such as org.opencontainers.image.source=URL; may be repeated",
        "dockerfile": "a folder to write a Dockerfile and the test program's source to, in place of a layout",
    },
    iterable=["label"],
    auto_shortflags=False,
)
def image(  # noqa: PLR0913, PLR0917  (one for each flag)
    context: Context,
    to: str = "",
    dist: str | None = None,
    stamp: str = "",
    image: str = "",
    platform: str = "",
    goroot: str = "",
    asyncpreemptoff: bool = False,
    certificates: str = "",
    label: list[str] | None = None,
    dockerfile: str = "",
) -> None:
    """Writes an OCI image layout: a minimal test image, and an image of the patched toolchain. Needs no daemon."""
    from gobuild.isolate import image as images
    from gobuild.isolate.image import dockerfile as dockerfiles

    if bool(to) == bool(dockerfile):
        raise ConfigError("where to?", "--to DIR for an image layout, or --dockerfile DIR")
    if dockerfile and (image or goroot or certificates):
        raise ConfigError(
            "a Dockerfile is of both images, and of archives alone", "no --image, --goroot, --certificates"
        )
    wanted = images.Wanted(
        dist=settings_of(context, {"dist": dist}).dist,
        stamp=stamp,
        images=(image,) if image else images.IMAGES,
        platforms=tuple(sorted(targets(platform), key=str)),
        goroot=Path(goroot) if goroot else None,
        preemption=not asyncpreemptoff,
        certificates=Path(certificates) if certificates else None,
        labels=dict(images.parse_label(each) for each in label or ()),
    )
    console = Console()
    if dockerfile:
        dockerfiles.write_context(Path(dockerfile), wanted)
        console.say(f"wrote {dockerfile}; how to build it stands at the top of its Dockerfile")
        return
    with console.stage("image") as at:
        made = images.write_layout(Path(to), wanted, run=run, note=at.note)
    rows = [
        (each.name, ", ".join(each.platforms), amount(each.packed), amount(each.unpacked), each.digest) for each in made
    ]
    console.say(f"wrote {to}")
    console.table("", ("image", "platforms", "as pulled", "unpacked", "digest"), rows)
