"""The official programs start, unmodified."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emulate_fixtures import run_guest
from verify_fixtures import LINUX, compiled

from gobuild.core.errors import ToolMissing
from gobuild.core.goversion import Target

DARWIN = Target(goos="darwin", goarch="arm64")


@pytest.mark.parametrize("version", ["1.22.10", "1.27.3"])
@pytest.mark.parametrize("slide", [0, 0x1_4000])
def test_go_version(version: str, slide: int, get_goroot: Callable[[str, Target], Path]) -> None:
    outcome = run_guest(get_goroot(version, DARWIN), "/bin/go", "version", slide=slide)
    assert (outcome.code, outcome.verdicts, outcome.stderr) == (0, (), b"")
    assert outcome.stdout == f"go version go{version} darwin/arm64\n".encode()


@pytest.mark.parametrize("version", ["1.22.10", "1.27.3"])
def test_a_program_with_debugging_information(
    version: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path
) -> None:
    """Go's linker writes a __DWARF of many bytes in the file and none in memory, which macOS does not map."""
    compiled(get_goroot(version, LINUX), tmp_path, flags=("-trimpath",))
    assert run_guest(tmp_path, "/hello-darwin-arm64").verdicts == ()


def test_two_runs_have_the_same_trace(get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    traces = []
    for name in ("a", "b"):
        run_guest(get_goroot("1.27.3", DARWIN), "/bin/go", "version", trace=tmp_path / name)
        traces.append((tmp_path / name).read_bytes())
    assert traces[0] == traces[1]
    assert traces[0].count(b"\n") > 300


def test_without_the_engine_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, get_goroot: Callable[[str, Target], Path]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match=r"pip install gobuild\[emulate\]"):
        run_guest(get_goroot("1.22.10", DARWIN), "/bin/go", "version")
