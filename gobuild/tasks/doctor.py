"""The tasks of the doctor: `doctor` itself, the default of its collection."""

import json as codec
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke import Collection
from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, DoctorError, first_few
from gobuild.core.printable import printable
from gobuild.tasks.words import HELP_DETAILS, file_to_write, flagged, path_of, settings_of

if TYPE_CHECKING:  # the doctor is imported by who asks for it: other tasks do not wait for its many modules
    from gobuild.doctor import Diagnosis


@flagged(default=True, name="run")
def run(  # noqa: PLR0913, PLR0917  (each is a flag)
    context: Context,
    path: Annotated[str, "the go command to look at, or its GOROOT; by default the go on PATH"] = "",
    against: Annotated[str, "the archive it came from: every file is compared with it"] = "",
    json: Annotated[bool, "print the diagnosis as JSON"] = False,
    html: Annotated[str, "write it as a page to this file as well"] = "",
    bundle: Annotated[str, "save all evidence, secrets hidden, to this file, for somebody else"] = "",
    from_: Annotated[str, "judge the evidence of this bundle, from whichever machine, instead of collecting any"] = "",
    reference: Annotated[
        str, "the darwin/arm64 go that hung, or its GOROOT: its healthy start is run here, on Linux, and says where"
    ] = "",
    capture: Annotated[bool, "capture hangs with tools that take longer and may need root (macOS)"] = False,
    offline: Annotated[bool, "ask no release index"] = False,
    dist: Annotated[str | None, "a folder with manifests and archives of toolchains"] = None,
    strict: Annotated[bool, "exit with an error for a WARN as well"] = False,
    details: Annotated[bool, HELP_DETAILS] = False,
) -> None:
    """Finds out why a go command hangs or is killed.

    Or is not the one you patched.

    Example: gobuild doctor --path ~/sdk/go/bin/go
    """
    from gobuild import doctor

    page, pack, given = file_to_write(html, "--html"), file_to_write(bundle, "--bundle"), path_of(from_)
    if page and page.absolute() in [each.absolute() for each in (pack, given) if each]:
        raise ConfigError(f"{page} is named twice", "--html with a file of its own")
    if given and (path or against or capture or bundle):
        raise ConfigError("--from judges a bundle, and looks at nothing here", "--from FILE, with --json or --html")
    settings = settings_of(context, {"dist": dist, "offline": offline})
    console = Console(stream=sys.stderr if json else sys.stdout, details=details)
    if given:
        found = doctor.load(given)
    else:
        with console.stage("doctor"):
            found = doctor.examine(
                path_of(path),
                settings=settings,
                environment=dict(os.environ),
                cwd=Path.cwd(),
                against=path_of(against),
                capture=capture,
            )
    if good := path_of(reference):
        found = doctor.place_hangs(found, good)
    if json:
        print(codec.dumps(doctor.diagnosis_document(found), indent=1))
    else:
        _show(console, found)
    if pack:
        doctor.save(found, pack)
    if page:
        files.write(page, doctor.page(found))
    for place in filter(None, (pack, page)):
        console.say(f"wrote {printable(str(place))}")
    _require(found, strict)
    if not json:
        console.verdict(f"{_counts(found)}: {found.subject}", f"{found.when}, {found.host}")


def _counts(found: "Diagnosis") -> str:
    grades = Counter(each.grade for each in found.findings)
    return ", ".join(f"{count} {grade}" for grade, count in grades.items())


def _show(console: Console, found: "Diagnosis") -> None:
    """What needs a look, and with details all."""
    from gobuild import doctor

    for group, findings in doctor.groups(found).items():
        rows = [doctor.row(each) for each in findings if console.details or each.grade in ("WARN", "FAIL")]
        if rows:
            console.table(group, doctor.COLUMNS, rows)


def _require(found: "Diagnosis", strict: bool) -> None:
    """Fails for a FAIL, or with `strict` a WARN."""
    bad = ("FAIL", "WARN") if strict else ("FAIL",)
    wrong = [each for each in found.findings if each.grade in bad]
    if wrong:
        names = ", ".join(first_few(f"{each.group}: {each.name}" for each in wrong))
        raise DoctorError(f"{len(wrong)} of {len(found.findings)} checks are bad: {names}", wrong[0].advice)


@flagged()
def compare(
    _context: Context,
    before: Annotated[str, "a file with the output of ioreg -a -r -l -c IOAccelerator"],
    after: Annotated[str, "another"],
) -> None:
    """Compares two snapshots of a Mac's graphics accelerators.

    Example: gobuild doctor.compare before.plist after.plist
    """
    from gobuild.doctor.macos import ioreg

    changed = ioreg.compare(Path(before).expanduser(), Path(after).expanduser())
    if changed:
        Console().table(f"{before} and {after}", ioreg.COLUMNS, changed)
    Console().verdict(f"differences: {len(changed) or 'none'}")


ns = Collection("doctor", run, compare)
