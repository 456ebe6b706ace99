"""A plan is pure: tested with nothing installed and nothing on disk."""

import re
from pathlib import Path

import pytest
from patch_fixtures import write

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Catalog, Release, ReleaseFile
from gobuild.core.settings import Settings
from gobuild.patch import load_folder
from gobuild.pipeline.plan import plan
from gobuild.pipeline.session import _why_make

STAMP = "go1.22.10-acme1.p3f9c2a1"
SOURCE = ReleaseFile(filename="go1.22.10.src.tar.gz", kind="source", sha256="1e94" * 16, size=27)


def _plan(*, why_make: str = "", notes: tuple[str, ...] = (), **settings: object) -> "dict[str, str]":
    made = plan(
        Settings.of({"work": "/w", "dist": "/d"} | settings),
        Release(version=GoVersion.parse("1.22.10"), origin="go.dev", files=(SOURCE,)),
        host=Target.parse("linux/amd64"),
        stamp=STAMP,
        patches=("mfinal-metal-init", "link-uuid"),
        formula="go-acme@1.22.rb",
        why_make=why_make,
        notes=notes,
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


def test_what_is_known_of_the_builder_and_the_series() -> None:
    rows = _plan(why_make="the patch p changes src/make.bash", notes=("left out of the stock series: goenv-local",))
    assert rows["patch"].endswith(" | left out of the stock series: goenv-local")
    assert rows["build"].startswith("make.bash for darwin/arm64 (cross, from linux/amd64) | profile static ")


COMPILER, LIBRARY, DIST = "src/cmd/compile/main.go", "src/os/file.go", "src/cmd/dist/build.go"


@pytest.mark.parametrize(
    ("path", "toml", "builder", "says"),
    [
        (LIBRARY, "", "auto", ""),
        ("src/cmd/dist/test.go", "", "auto", ""),
        (COMPILER, "", "auto", "the patch p changes src/cmd/compile/main.go, and does not say direct = true"),
        (COMPILER, "[build]\ndirect = true\n", "auto", ""),
        (COMPILER, "", "direct", "the patch p changes src/cmd/compile/main.go"),
        (COMPILER, "", "make.bash", ""),
        # Whoever has both compared need not know before that they are the same.
        (COMPILER, "", "both", ""),
        (
            DIST,
            "[build]\ndirect = true\n",
            "both",
            "the patch p changes src/cmd/dist/build.go, which is make.bash's own",
        ),
        (LIBRARY, "build.environment = { GOROOT_OVERRIDE = '1' }\n", "auto", "the series gives GOROOT_OVERRIDE"),
        (LIBRARY, "build.environment = { GOROOT_OVERRIDE = '1' }\n", "both", ""),
        (LIBRARY, "[build]\nenvironment.GOROOT_OVERRIDE = '1'\ndirect = true\n", "direct", ""),
    ],
)
def test_the_builder_is_known_by_the_files_that_patches_change(
    tmp_path: Path, path: str, toml: str, builder: str, says: str
) -> None:
    diff = f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"
    series = load_folder(write(tmp_path, {"series.toml": 'list = "folder"\n' + toml, "p.patch": diff}))
    release, catalog = Release(version=GoVersion.parse("1.22.10"), origin="PyPI"), Catalog(origin="PyPI", releases=())
    settings = Settings(series=str(tmp_path), builder=builder)

    def why() -> str:
        host = Target.parse("linux/amd64")
        return _why_make(settings, release, catalog, host=host, series=series, patches=series.patches)

    if builder == "auto" or not says:
        assert says in why()
        assert bool(why()) == bool(says)
    else:
        with pytest.raises(ConfigError, match="cannot be built directly: " + re.escape(says)):
            why()


def test_paths_are_absolute() -> None:
    assert _plan(dist="here")["publish"] == str(Path("here").absolute() / "go-acme@1.22.rb")
