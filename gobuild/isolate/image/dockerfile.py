"""Writes a Dockerfile for the same images; a builder and a base image are the user's."""

import re
import shlex
import shutil
from pathlib import Path

from gobuild.core import files, resources
from gobuild.core.errors import ConfigError
from gobuild.core.render import render
from gobuild.isolate.image import program
from gobuild.isolate.image.wanted import PATH, PLATFORMS, TOOLCHAIN, USER, Wanted, choose_builds, make_labels


def write_context(to: Path, wanted: Wanted) -> None:
    """Writes a build context without the archives: a Dockerfile and the test program's source."""
    to = to.expanduser().absolute()
    if to.exists() and (not to.is_dir() or {path.name for path in to.iterdir()} - {"Dockerfile", program.NAME}):
        raise ConfigError(f"what stands in {to} is not gobuild's, and is not replaced", "a folder that does not exist")
    chosen = choose_builds(wanted, needed=(TOOLCHAIN,))
    targets = wanted.platforms or [each for each in PLATFORMS if each in chosen]
    stamp = chosen[targets[0]].stamp
    text = render(
        "Dockerfile.j2",
        filters={"quoted": quote, "shell": shlex.quote},
        stamp=stamp,
        builds=[{"arch": each.goarch, "sha256": chosen[each].archive("toolchain").sha256} for each in targets],
        flags=program.FLAGS,
        test=make_labels("Go test program", stamp, None, chosen.values(), wanted.labels),
        toolchain=make_labels("Go toolchain", stamp, None, chosen.values(), wanted.labels),
        debug="".join(wanted.debug),
        user=USER,
        path=PATH,
    )
    source = resources.folder("templates") / program.NAME
    with files.atomic_write(to) as temporary:
        shutil.copytree(source, temporary / program.NAME, ignore=shutil.ignore_patterns("pack"))
        files.write(temporary / "Dockerfile", text)


def quote(text: str) -> str:
    r"""A word in double quotes, in which \, " and $ are what they are (Dockerfile reference, ENV)."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
