"""What a build would do: its names and places. Nothing here reads a file or asks a server."""

from dataclasses import dataclass
from pathlib import Path

from gobuild.core import files
from gobuild.core.goversion import Target
from gobuild.core.model import Profile, Release
from gobuild.core.settings import Settings

BUILDERS = {
    "auto": "the direct builder (make.bash where upstream's toolchain is not to be had)",
    "make.bash": "make.bash",
    "direct": "the direct builder",
    "both": "make.bash and the direct builder, to the same bytes,",
}
"""The setting builder in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that is decided before work begins."""

    release: Release
    stamp: str  # what the toolchain will call itself
    target: Target
    host: Target
    profile: Profile
    patches: tuple[str, ...]  # the names of the patches that will be tried, in order
    job: Path  # the folder of this build alone
    dist: Path
    formula: str  # the file name of the Homebrew formula
    sign: str = "linker"
    builder: str = "auto"
    why_make: str = ""  # why make.bash is to build where any may, as far as that is known by now
    notes: tuple[str, ...] = ()  # what the series says besides its patches

    @property
    def tree(self) -> Path:
        """GOROOT, while it is built and after."""
        return self.job / "go"

    @property
    def trees(self) -> tuple[Path, ...]:
        """`tree`, and with both builders the direct one's behind it."""
        return (self.tree, self.job / "direct" / "go") if self.builder == "both" else (self.tree,)

    @property
    def tools(self) -> Path:
        """The host's tools of a direct build."""
        return self.job / "host"

    @property
    def log(self) -> Path:
        """All that the builder says."""
        return self.job / "make.log"

    @property
    def scratch(self) -> Path:
        """HOME, temporary files and caches of this build."""
        return self.job / "tmp"

    @property
    def state(self) -> Path:
        """The finished toolchain, written down; it exists only if the toolchain is finished."""
        return self.job / "toolchain.json"

    @property
    def lock(self) -> Path:
        """Held while somebody works in `job`."""
        return self.job / files.LOCK

    @property
    def archive(self) -> Path:
        """The toolchain's archive, named as Go names its own."""
        return self.dist / f"{self.stamp}.{self.target.dashed}.tar.gz"

    @property
    def manifest(self) -> Path:
        """The manifest beside the archives."""
        return self.dist / f"{self.stamp}.{self.target.dashed}.gobuild.json"

    def rows(self) -> list[tuple[str, str]]:
        """The plan for people, a row a stage."""
        source = next((file for file in self.release.files if file.kind == "source"), None)
        digest = f", sha256 {source.sha256}" if source else ""
        how = "native" if self.target == self.host else f"cross, from {self.host}"
        flags = [f"CGO_ENABLED={self.profile.cgo}"] if self.profile.cgo is not None else []
        flags += [f"GO_LDFLAGS={self.profile.ldflags!r}"] if self.profile.ldflags else []
        return [
            ("resolve", f"{self.release.version.tag} from {self.release.origin}"),
            ("fetch", f"{source.filename if source else 'its source'}{digest}; a bootstrap toolchain for {self.host}"),
            ("patch", f"{', '.join(self.patches) or 'nothing'}; stamped {self.stamp}"),
            *(("", note) for note in self.notes),
            ("build", f"{BUILDERS['make.bash' if self.why_make else self.builder]} for {self.target} ({how})"),
            ("", f"profile {self.profile.name} {' '.join(flags)}".rstrip()),
            ("", f"in {self.tree}, log {self.log}"),
            ("verify", "every executable, and a probe program that the new toolchain compiles"),
            ("package", str(self.archive)),
            ("", "the source archive, the GOTOOLCHAIN module, and a .sha256 for each"),
            ("", str(self.manifest)),
            *([("sign", f"{self.sign}; then verify the archives again")] if self.sign != "linker" else []),
            ("publish", str(self.dist / self.formula)),
        ]


def plan(
    settings: Settings,
    release: Release,
    *,
    host: Target,
    stamp: str,
    patches: tuple[str, ...],
    formula: str,
    why_make: str = "",
    notes: tuple[str, ...] = (),
) -> Plan:
    """Lays out a build; all paths are absolute."""
    target = settings.for_target
    return Plan(
        release=release,
        stamp=stamp,
        target=target,
        host=host,
        profile=settings.by_profile,
        patches=patches,
        job=settings.work.absolute() / f"{stamp}.{target.dashed}",
        dist=settings.dist.absolute(),
        formula=formula,
        sign=settings.sign,
        builder=settings.builder,
        why_make=why_make,
        notes=notes,
    )
