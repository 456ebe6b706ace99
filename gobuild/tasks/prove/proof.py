"""The tasks that prove a toolchain against the official release: `reproduce` and `blast-radius`."""

import json as codec
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from invoke.context import Context

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError
from gobuild.tasks import show
from gobuild.tasks.words import HELP_DETAILS, SOURCE, file_to_write, path_of, settings_of, with_settings

if TYPE_CHECKING:
    from gobuild.audit.compare import Radius


def _write(document: dict[str, object], path: Path | None, json: bool, console: Console) -> None:
    """Writes a report to its file and, where that is wanted, to standard output."""
    if path:
        files.write(path, codec.dumps(document, indent=1, ensure_ascii=False) + "\n")
        console.say(f"wrote {path}")
    if json:
        show.document(document)


@with_settings(*SOURCE, "bootstrap", "work")
def reproduce(
    context: Context,
    *,
    ours: Annotated[str, "compare this archive or GOROOT, which was built before, instead of building"] = "",
    against: Annotated[str, "the official archive, wheel or GOROOT, instead of fetching it"] = "",
    report: Annotated[str, "write the report as JSON to this file"] = "",
    json: Annotated[bool, "print the report as JSON"] = False,
    details: Annotated[bool, HELP_DETAILS] = False,
    **words: object,
) -> None:
    """Rebuilds a release unpatched, compares it with Go's own.

    Example: gobuild reproduce --go 1.22.10
    """
    from gobuild.audit import compare
    from gobuild.audit import reproduce as proving
    from gobuild.pipeline.session import Session

    settings = settings_of(context, words)
    console = Console(stream=sys.stderr) if json else Console()
    path, session = file_to_write(report, "--report"), Session(settings=settings, console=console)
    found = proving.reproduce(session, ours=path_of(ours), against=path_of(against))
    _write(found.as_dict(), path, json, console)
    if not json:
        rows = [row for row in compare.table_rows(found.comparison) if details or row[0] != compare.Ending.PASS]
        if rows:
            console.table(
                f"Go {found.release} for {found.target}: {found.comparison.ours} with {found.comparison.official}",
                ("ending", "entry", "what is equal, or the reason"),
                rows,
            )
    proving.require(found)
    if not json:
        counts = found.comparison.counts()
        passed = sum(count for (ending, _), count in counts.items() if ending is compare.Ending.PASS)
        executables = len(found.comparison.executables)
        console.verdict(
            f"Go {found.release} for {found.target} is reproduced: {passed} entries equal, "
            f"{executables} of them executables",
        )


@with_settings(*SOURCE, name="blast-radius")
def blast_radius(
    context: Context,
    *,
    ours: Annotated[str, "the patched toolchain: its archive, or a GOROOT as it unpacks"] = "",
    against: Annotated[str, "what to compare with, instead of the official release: an archive, wheel or GOROOT"] = "",
    report: Annotated[str, "write the report as JSON to this file"] = "",
    json: Annotated[bool, "print the report as JSON"] = False,
    **words: object,
) -> None:
    """Reports what the patches change, function by function.

    Names the patch that explains each change.

    Example: gobuild blast-radius --ours dist/go1.22.10-acme.darwin-arm64.tar.gz
    """
    from gobuild.audit import reproduce as proving
    from gobuild.pipeline.session import Session

    settings = settings_of(context, words)
    console = Console(stream=sys.stderr) if json else Console()
    path, session = file_to_write(report, "--report"), Session(settings=settings, console=console)
    patched = path_of(ours)
    if patched is None:
        raise ConfigError("blast-radius needs a toolchain to look at", "--ours dist/go….tar.gz")
    found = proving.blast_radius(session, ours=patched, against=path_of(against))
    _write(found.as_dict(), path, json, console)
    if not json:
        console.table(f"{found.ours} against {found.base}", ("where", "what", "how", "explained by"), _grouped(found))
    proving.require_explained(found)
    if not json:
        console.verdict(
            f"every difference is explained by a patch: {len(found.programs)} executables differ, {found.same} do not",
        )


def _grouped(found: "Radius") -> list[tuple[str, str, str, str]]:
    """A row a difference; executables that share it stand in one row."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for program in found.programs:
        for each in program.differences:
            groups.setdefault((f"{each.kind}: {each.name}", each.seen, ", ".join(each.by)), []).append(program.name)
    rows = [
        (names[0] if len(names) == 1 else f"{len(names)} executables", what, seen, by or "nothing")
        for (what, seen, by), names in sorted(groups.items(), key=lambda item: (bool(item[0][2]), -len(item[1])))
    ]
    return [*rows, *((each.name, "file", each.seen, ", ".join(each.by) or "nothing") for each in found.files)]
