"""Go's own tests for darwin/arm64 pass under emulation; `tests/go_tests_emulated.py` makes the table of all of them.

These are chosen to take less than five minutes of one core, the compiling included.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from go_tests_emulated import PACKAGES, compile_tests, run_tests
from platformdirs import user_cache_path
from verify_fixtures import LINUX

from gobuild.core.goversion import Target

CHOICE = {
    # package -> how many tests pass at least, of 1.22.10
    "unicode/utf8": 20,
    "errors": 10,
    "io": 60,
    "context": 30,
    "sort": 30,
    "bufio": 60,
    "fmt": 60,
    "path/filepath": 30,
    "sync": 30,
    "time": 150,
    "os": 140,
    "runtime": 90,  # what `ONLY` names
}


@pytest.mark.slow
@pytest.mark.parametrize("package", CHOICE)
def test_package(package: str, get_goroot: Callable[[str, Target], Path], tmp_path: Path) -> None:
    goroot = get_goroot("1.22.10", LINUX)
    program = tmp_path / "package.test"
    compile_tests(goroot, package, program, user_cache_path("gobuild-tests", appauthor=False) / "verify-gocache")
    results = run_tests(goroot, package, program)
    assert (results.code, results.failed) == (0, ()), results.output[-5000:]
    assert results.passed >= CHOICE[package]
    assert set(CHOICE) < set(PACKAGES), "each of them stands in the table too"
