"""The tasks that keep Go apart from what disturbs it: gowrap, a launchd job, a virtual machine, container images."""

import re
import tempfile
from pathlib import Path
from typing import Annotated

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console, amount, counted
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import Target
from gobuild.core.process import run
from gobuild.tasks.words import flagged, settings_of, targets


def _number(what: str, text: str) -> int:
    """A whole number from the command line; invoke's own conversion ends in a traceback."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ConfigError(f"{what} is {text!r}", "a whole number")
    return int(text)


@flagged()
def gowrap(
    _context: Context,
    goroot: Annotated[str, "the folder of a Go toolchain that runs here"] = "",
    target: Annotated[str, "the GOOS/GOARCH that gowrap is for; by default this machine's"] = "",
    to: Annotated[str, "the file to write"] = "gowrap",
) -> None:
    """Compiles gowrap, the launch wrapper.

    Any toolchain from Go 1.21 on compiles it.

    Example: gobuild gowrap --goroot ~/sdk/go
    """
    from gobuild.isolate import programs

    if not goroot:
        raise ConfigError("which toolchain?", "--goroot build/go1.22.10-….linux-amd64/go")
    chosen = Target.parse(target) if target else Target.host()
    made = Path(to).expanduser()
    if made.is_dir():
        raise ConfigError(f"{made} is a folder", "--to with the file to write")
    with tempfile.TemporaryDirectory(prefix="gobuild-") as scratch, Console().stage("gowrap"):
        programs.build_gowrap(Path(goroot).expanduser(), chosen, made, scratch=Path(scratch), run=run)
    Console().verdict(f"gowrap for {chosen}", str(made), f"sha256 {files.sha256(made)}")


@flagged()
def launchd(  # noqa: PLR0913, PLR0917  (invoke makes a flag of each)
    _context: Context,
    label: Annotated[str, "the job's name: com.example.service"] = "",
    program: Annotated[str, "the program's whole path on the Mac"] = "",
    gowrap: Annotated[str, "gowrap's whole path on the Mac"] = "",
    argument: Annotated[list[str] | None, "an argument of the program's; may be repeated"] = None,
    env: Annotated[list[str] | None, "NAME or PREFIX_* to let through, NAME=value to set; may be repeated"] = None,
    output: Annotated[str, "the file on the Mac for what the program writes"] = "",
    directory: Annotated[str, "where it is started; / if not said"] = "",
    keep: Annotated[str, "when it is started again: always, crash (unless it ended with code 0) or never"] = "crash",
    throttle: Annotated[str, "the fewest seconds between two starts"] = "10",
    start_limit: Annotated[str, "seconds until its first output, or its ready file; 0 for no limit"] = "0",
    ready_file: Annotated[str, "a file that it makes when it is ready"] = "",
    stop_limit: Annotated[str, "seconds to end in when launchd asks"] = "15",
    ignore: Annotated[str, "signals that it is started ignoring: HUP,PIPE"] = "",
    set: Annotated[list[str] | None, "another key of launchd.plist(5), KEY=VALUE; may be repeated"] = None,
    to: Annotated[str, "the folder to write LABEL.plist to"] = ".",
) -> None:
    """Writes a launchd job that runs a program through gowrap.

    It is checked against launchd.plist(5).

    Example: gobuild launchd --label com.acme.service --program /opt/acme/service --gowrap /opt/acme/gowrap
    """
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
    then = f"on the Mac: plutil -lint {path.name}; launchctl bootstrap gui/$UID (or system) {path.name}"
    console.verdict(f"the job {label}", str(path), then=then)


@flagged()
def vm(
    _context: Context,
    archive: Annotated[str, "the .tar.gz of a toolchain for linux/arm64"] = "",
    disk: Annotated[str, "the whole path, on the Mac, of a raw arm64 cloud image"] = "",
    to: Annotated[str, "the folder to make"] = "",
    name: Annotated[str, "the machine's name"] = "gobuild",
    cpus: Annotated[str, "how many CPUs it has"] = "2",
    memory: Annotated[str, "how much memory, in MiB"] = "2048",
    ssh_key: Annotated[str, "a public key file: the machine gets a network, and this key may log in"] = "",
) -> None:
    """Writes a virtual machine without a GPU, for a Mac.

    vfkit runs a linux/arm64 toolchain in it.

    Example: gobuild vm --archive dist/go1.22.10-acme.linux-arm64.tar.gz --disk /vm/debian.raw --to machine
    """
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
    then = f"take it to the Mac, and there: {folder.name}/run.sh"
    Console().verdict(f"a machine for {stamp}", str(folder), then=then)


@flagged()
def image(  # noqa: PLR0913, PLR0917  (one for each flag)
    context: Context,
    to: Annotated[str, "the image layout's folder; an earlier one of gobuild's there is replaced"] = "",
    dist: Annotated[str | None, "the folder of finished builds"] = None,
    stamp: Annotated[str, "which of them, where it holds several"] = "",
    image: Annotated[str, "test or toolchain; by default both"] = "",
    platform: Annotated[str, "linux/amd64, linux/arm64, or both with a comma; by default all that are to be had"] = "",
    goroot: Annotated[str, "a toolchain of that stamp that runs here, for the test program; by default dist's"] = "",
    asyncpreemptoff: Annotated[bool, "set GODEBUG=asyncpreemptoff=1 in the test image"] = False,
    certificates: Annotated[str, "a PEM file of TLS roots to put into the images; without it they trust nobody"] = "",
    label: Annotated[list[str] | None, "KEY=VALUE, as org.opencontainers.image.source=URL; may be repeated"] = None,
    dockerfile: Annotated[str, "a folder for a Dockerfile and the test program's source, in place of a layout"] = "",
) -> None:
    """Writes container images, without a daemon.

    An OCI image layout with a minimal test image, and an image of the patched toolchain.

    Example: gobuild image --to layout --dist dist
    """
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
        console.verdict("a Dockerfile; how to build it stands at its top", dockerfile)
        return
    with console.stage("image") as at:
        made = images.write_layout(Path(to), wanted, run=run, note=at.note)
    rows = [
        (each.name, ", ".join(each.platforms), amount(each.packed), amount(each.unpacked), each.digest) for each in made
    ]
    console.table("", ("image", "platforms", "as pulled", "unpacked", "digest"), rows)
    console.verdict(counted(len(made), "image"), to)
