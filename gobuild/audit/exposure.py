"""What `gobuild vulns --path` is asked about: what a toolchain, a program or a site says it is, and what is in it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from gobuild.audit.identify import Identity, identify
from gobuild.binary import elf, macho
from gobuild.binary.pclntab import read_pclntab
from gobuild.binary.view import Malformed, opened
from gobuild.core.errors import ConfigError
from gobuild.core.goversion import TARGETS, GoVersion, Target
from gobuild.patch import Series
from gobuild.publish.builds import find_builds
from gobuild.verify import tree
from gobuild.vulns.status import IN_THE_SOURCE, Subject, fixes_of

_ARCHIVE = re.compile(r".*?[.-](darwin|linux)[-.](amd64|arm64)\b.*")


def of_path(
    path: Path, *, target: tuple[str, str] | None, dist: Path, series: Sequence[Series]
) -> Iterator[tuple[Subject, str]]:
    """What stands at a path, each with a sentence on how its patches are known: of a site or of dist/ every build.

    Args:
        path: as `gobuild.audit.identify` takes it, a published site, or a folder of finished builds.
        target: GOOS and GOARCH; None: what it is for.
        dist: a folder with manifests (*.gobuild.json); it need not exist.
        series: the series to compute stamps of, the likeliest first.

    Raises:
        ConfigError: there is nothing of the kind, or its release is not known: then nothing can be said.
    """
    folders = [each for each in (path, *sorted(path.glob("releases/*"))) if any(each.glob("*.gobuild.json"))]
    for folder in folders:
        for build in find_builds(folder):
            goos, goarch = target or (build.target.goos, build.target.goarch)
            fixes = fixes_of(build.manifest.patches)
            name = f"{build.stamp} for {build.target}"
            yield Subject(name=name, version=build.version, goos=goos, goarch=goarch, fixes=fixes), ""
    if not folders:
        yield _identified(path, identify(path, dist=dist, series=series), target)


def _identified(path: Path, found: Identity, target: tuple[str, str] | None) -> tuple[Subject, str]:
    if not found.release:
        raise ConfigError(
            f"{path}: {found.stamp!a} is no release of Go, so nothing can be said of its vulnerabilities",
            "--go with the release that it was made from",
        )
    its = _target(path)
    if target is None and its is None:
        raise ConfigError(f"nothing says what {path} runs on", "--target GOOS/GOARCH")
    goos, goarch = target or ((its.goos, its.goarch) if its else ("", ""))
    in_it = [each for each in found.patches or () if each.fixes and each.state in ("", *IN_THE_SOURCE)]
    subject = Subject(
        name=str(path),
        version=GoVersion.parse(found.release),
        goos=goos,
        goarch=goarch,
        fixes={each.name: each.fixes for each in in_it},
        packages=_packages(path, its, found.program) if found.program and its else None,
    )
    return subject, found.says


def _target(path: Path) -> Target | None:
    if path.is_dir():
        commands = (path / folder / name for folder in ("bin", "libexec/bin") for name in ("go", "gofmt"))
        crossed = [each for each in TARGETS if (path / "bin" / each.underscored / "go").is_file()]
        return next((each for each in map(tree.identify, commands) if each), crossed[0] if crossed else None)
    match = _ARCHIVE.fullmatch(path.name)
    named = Target(goos=match[1], goarch=match[2]) if match else None
    return tree.identify(path) or named


def _packages(path: Path, target: Target, main: str) -> frozenset[str] | None:
    """The packages that are linked into a program; None where its table of functions cannot be read: all may be."""
    try:
        with opened(path) as view:
            if target.goos == "darwin":
                section = macho.read_macho(view).section("__gopclntab")
                place = section.place if section else None
            else:
                places = elf.read_elf(view).places
                place = places.get(".gopclntab") or places.get(".data.rel.ro.gopclntab")
            found = read_pclntab(view, place).packages() if place else frozenset()
    except Malformed:
        return None
    # The functions of its main package are called main. No program is without the runtime: then they are not all here.
    return found | {main} if "runtime" in found else None
