"""The task that writes container images without a daemon."""

from pathlib import Path

from invoke import task
from invoke.context import Context

from gobuild.core.console import Console, amount
from gobuild.core.errors import ConfigError, os_errors_as_ours
from gobuild.core.process import run
from gobuild.tasks.words import interruptible, settings_of, targets


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
    goroot: str | None = None,
    asyncpreemptoff: bool = False,
    certificates: str | None = None,
    label: list[str] | None = None,
    dockerfile: str = "",
) -> None:
    """Writes an OCI image layout: a minimal test image, and an image of the patched toolchain. Needs no daemon."""
    from gobuild.isolate import image as images
    from gobuild.isolate.image import dockerfile as dockerfiles

    if bool(to) == bool(dockerfile):
        raise ConfigError("where to?", "--to DIR for an image layout, or --dockerfile DIR")
    for word, value in (("--goroot", goroot), ("--certificates", certificates)):
        if value is not None and not value.strip():
            raise ConfigError(f"{word} is an empty word", "a shell variable that is not set may stand there")
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
        labels=dict(images.label(each) for each in label or ()),
    )
    console = Console()
    with interruptible(), os_errors_as_ours(f"writing {to or dockerfile}"):
        if dockerfile:
            dockerfiles.write(Path(dockerfile), wanted)
            console.say(f"wrote {dockerfile}; how to build it stands at the top of its Dockerfile")
            return
        with console.stage("image") as at:
            made = images.write(Path(to), wanted, run=run, note=at.note)
    rows = [
        (each.name, ", ".join(each.platforms), amount(each.packed), amount(each.unpacked), each.digest) for each in made
    ]
    console.say(f"wrote {to}")
    console.table("", ("image", "platforms", "as pulled", "unpacked", "digest"), rows)
