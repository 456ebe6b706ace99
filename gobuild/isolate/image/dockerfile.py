"""Writes a Dockerfile for the same images; a builder and a base image are the user's.

Its images have other digests than `invoke image`'s.
"""

import re
import shlex
import shutil
from pathlib import Path

from gobuild.core import files, resources
from gobuild.core.errors import ConfigError
from gobuild.core.render import render
from gobuild.isolate.image import program
from gobuild.isolate.image.wanted import (
    NO_PREEMPTION,
    PATH,
    PLATFORMS,
    TOOLCHAIN,
    USER,
    Wanted,
    choose_builds,
    make_labels,
)

PARTS = {"Dockerfile", program.NAME}
"""What the folder holds, and nothing else."""


def write_context(to: Path, wanted: Wanted) -> None:
    """Writes a build context without the archives: a Dockerfile and the test program's source.

    Raises:
        ConfigError: something else stands there.
        PackageError: dist has no such build.
    """
    to = to.expanduser().absolute()
    if to.exists() and (not to.is_dir() or {path.name for path in to.iterdir()} - PARTS):
        raise ConfigError(f"what stands in {to} is not gobuild's, and is not replaced", "a folder that does not exist")
    chosen = choose_builds(wanted, needed=(TOOLCHAIN,))
    targets = wanted.platforms or [each for each in PLATFORMS if each in chosen]
    builds = [{"arch": each.goarch, "sha256": chosen[each].archive("toolchain").sha256} for each in targets]
    first = chosen[targets[0]]
    text = render(
        "Dockerfile.j2",
        filters={"quoted": quote, "shell": shlex.quote},
        stamp=first.stamp,
        builds=builds,
        flags=program.FLAGS,
        test=make_labels("Go test program", first.stamp, None, chosen.values(), wanted.labels),
        toolchain=make_labels("Go toolchain", first.stamp, None, chosen.values(), wanted.labels),
        debug="" if wanted.preemption else NO_PREEMPTION,
        user=USER,
        path=PATH,
    )
    with files.atomic_write(to) as temporary:
        shutil.copytree(
            resources.folder("templates") / program.NAME,
            temporary / program.NAME,
            ignore=shutil.ignore_patterns("pack"),
        )
        files.write(temporary / "Dockerfile", text)


def quote(text: str) -> str:
    r"""A word in double quotes, in which a Dockerfile reads \, " and $ as what they are.

    (docs.docker.com, Dockerfile reference: environment replacement; the escape character is the default one.)
    """
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
