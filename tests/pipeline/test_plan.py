"""A plan is pure: tested with nothing installed and nothing on disk."""

from pathlib import Path

from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Release, ReleaseFile
from gobuild.core.settings import Settings
from gobuild.pipeline.plan import plan

STAMP = "go1.22.10-acme1.p3f9c2a1"
SOURCE = ReleaseFile(filename="go1.22.10.src.tar.gz", kind="source", sha256="1e94" * 16, size=27)


def _plan(**settings: object) -> "dict[str, str]":
    made = plan(
        Settings.of({"work": "/w", "dist": "/d"} | settings),
        Release(version=GoVersion.parse("1.22.10"), origin="go.dev", files=(SOURCE,)),
        host=Target.parse("linux/amd64"),
        stamp=STAMP,
        patches=("mfinal-metal-init", "link-uuid"),
        formula="go-acme@1.22.rb",
    )
    rows: dict[str, str] = {}
    latest = ""
    for stage, what in made.rows():
        latest = stage or latest
        rows[latest] = f"{rows[latest]} | {what}" if latest in rows else what
    return rows


def test_a_cross_build() -> None:
    assert _plan() == {
        "resolve": "go1.22.10 from go.dev",
        "fetch": f"go1.22.10.src.tar.gz, sha256 {'1e94' * 16}; a bootstrap toolchain for linux/amd64",
        "patch": f"mfinal-metal-init, link-uuid; stamped {STAMP}",
        "build": (
            "the direct builder (make.bash where upstream's toolchain is not to be had) for darwin/arm64"
            " (cross, from linux/amd64)"
            " | profile static CGO_ENABLED=0 GO_LDFLAGS='-s -w'"
            f" | in /w/{STAMP}.darwin-arm64/go, log /w/{STAMP}.darwin-arm64/make.log"
        ),
        "verify": "every executable, and a probe program that the new toolchain compiles",
        "package": (
            f"/d/{STAMP}.darwin-arm64.tar.gz | the source archive, the GOTOOLCHAIN module, and a .sha256 for each"
            f" | /d/{STAMP}.darwin-arm64.gobuild.json"
        ),
        "publish": "/d/go-acme@1.22.rb",
    }


def test_a_native_build_as_upstream() -> None:
    rows = _plan(target="linux/amd64", profile="upstream", builder="make.bash")
    assert rows["build"].startswith("make.bash for linux/amd64 (native) | profile upstream | in ")


def test_paths_are_absolute() -> None:
    assert _plan(dist="here")["publish"] == str(Path("here").absolute() / "go-acme@1.22.rb")
