"""Go's tests as a measure of patches: a patch's own, before and after; those of the packages that it touches."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gobuild import fetch
from gobuild.acceptance.goroots import ROOM, lay_out
from gobuild.acceptance.patch_tests import Acceptance, Examiner, TestRow, chosen
from gobuild.core import files
from gobuild.core.errors import FetchError
from gobuild.pipeline.session import Prepared, Session, prepare

__all__ = ["Acceptance", "TestRow", "accept_patches", "cache_folder", "upstream_toolchain"]


def accept_patches(
    session: Session, names: Sequence[str], *, packages: bool, on_row: Callable[[TestRow], None]
) -> Acceptance:
    """Runs the tests of the patches of the settings' series, natively, by upstream's toolchain of the release.

    Args:
        session: its settings say which release, series and optional patches; the target is this machine's.
        names: the patches meant; none: all.
        packages: whether the tests of the packages that they touch are run as well.
        on_row: is told each row as it becomes known.

    Raises:
        PatchError: a patch does not fit, or what it changes does not compile.
        FetchError: upstream's toolchain of the release is not to be had for this machine.
    """
    prepared = prepare(session, delivered=False)
    patches = chosen(prepared.patches, names)
    rows = []
    with session.console.stage("test") as at, _examiner(session, prepared, at.note, packages=packages) as examiner:
        for row in examiner.rows(patches):
            rows.append(row)
            on_row(row)
    return Acceptance(version=str(prepared.plan.release.version), rows=tuple(rows))


@contextmanager
def _examiner(
    session: Session, prepared: Prepared, note: Callable[[str], None], *, packages: bool
) -> Iterator[Examiner]:
    release, host = prepared.plan.release, prepared.plan.host
    upstream = upstream_toolchain(session, prepared)
    folder = cache_folder(prepared)
    doing = f"testing patches of {release.version.tag}"
    with files.exclusive_lock(folder.with_name(f".{folder.name}.lock"), doing, waiting=note):
        files.require_room(folder, ROOM, doing)
        note("the release with the series applied")
        goroots = lay_out(upstream, release, prepared.patches, folder, host=host, run=session.run)
        yield Examiner(goroots=goroots, run=session.run, note=note, packages=packages)


def upstream_toolchain(session: Session, prepared: Prepared) -> Path:
    """The GOROOT of upstream's toolchain of the release for this machine; a FetchError where there is none."""
    release, host = prepared.plan.release, prepared.plan.host
    found = fetch.same_release_toolchain(
        session.settings, release, host=host, reached=prepared.reached, run=session.run, console=session.console
    )
    if not found:
        raise FetchError(
            f"upstream's Go {release.version} for {host}, whose go command is needed, is not to be had",
            "a release that has one, by --go",
        )
    return found.goroot


def cache_folder(prepared: Prepared) -> Path:
    """Where the build caches of a release are."""
    plan = prepared.plan
    return prepared.settings.cache.absolute() / "acceptance" / f"{plan.release.version.tag}.{plan.host.dashed}"
