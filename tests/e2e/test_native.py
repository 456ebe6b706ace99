"""A patched toolchain for this machine really runs here."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from e2e.builds import Build, captured, program
from e2e.plain_macho import LC_UUID, commands_of
from e2e.whole import the_runtime_is_sound, unpacked
from needs import needs

from gobuild.core.goversion import Target

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(native: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked by tar as a user would."""
    return unpacked(native.one(f"go*.{Target.host().dashed}.tar.gz"), tmp_path_factory.mktemp("installed") / "x")


def _variables(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(home)}


def test_go_version_prints_the_stamp(native: Build, installed: Path, tmp_path: Path) -> None:
    stamp = json.loads(native.one("*.gobuild.json").read_text())["stamp"]
    said = captured(installed / "bin/go", "version", env=_variables(tmp_path))
    assert said.stdout == f"go version {stamp} {Target.host()}\n"
    assert stamp.startswith("go1.22.10-acme1.p")


def test_identify_names_the_patches_in_a_program_it_built(native: Build, installed: Path, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { println(1) }\n")
    for target in ("darwin/arm64", str(Target.host())):
        goos, goarch = target.split("/")
        variables = _variables(tmp_path) | {"GOOS": goos, "GOARCH": goarch}
        captured(installed / "bin/go", "build", "-o", "hello", "main.go", env=variables, cwd=tmp_path)
        # The patched linker serves whoever cross-compiles for a Mac with a Linux toolchain, too.
        assert goos != "darwin" or LC_UUID in [each for each, _ in commands_of((tmp_path / "hello").read_bytes())]
        by_dist = _identify(tmp_path, "hello", "--dist", str(native.dist))
        by_series = _identify(tmp_path, "hello", "--dist", "nowhere")
        names = [each["name"] for each in by_dist["patches"]]
        assert by_dist["stamp"] == json.loads(native.one("*.gobuild.json").read_text())["stamp"]
        assert by_dist["known_by"].startswith("the manifest ")
        assert names == [each["name"] for each in by_series["patches"]]
        assert by_series["known_by"].startswith("the series ")


def _identify(folder: Path, *words: str) -> dict[str, Any]:
    return dict(json.loads(captured(program("gobuild"), "identify", *words, "--json", cwd=folder).stdout))


def test_a_newer_go_line_does_not_replace_it(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/m\n\ngo 1.99.0\n")
    done = captured(installed / "bin/go", "list", env=_variables(tmp_path), cwd=tmp_path, ok=False)
    assert done.returncode != 0
    assert "running go1.22.10-acme1" in done.stderr or "GOTOOLCHAIN=local" in done.stderr


def test_the_formula_installs_it_and_its_test_passes(native: Build, tmp_path: Path) -> None:
    """By the formula's own words, run by a plain Ruby: an imitation of brew, so no proof that brew would."""
    formula = native.one("go-acme@1.22.rb")
    harness = Path(__file__).parent / "brew.rb"
    words = ("-W0", harness, "--install", tmp_path / "prefix", formula)
    done = captured(needs("ruby"), *words, env=_variables(tmp_path))
    assert json.loads(done.stdout)["errors"] == []
    (linked,) = (tmp_path / "prefix/Cellar/go-acme@1.22").glob("*/bin/go1.22.10-acme1.*")
    assert (linked.resolve().parent / "gofmt").exists()


def test_the_probe_ran_here(native: Build) -> None:
    manifest = json.loads(native.one("*.gobuild.json").read_text())
    (ran,) = (check for check in manifest["checks"] if check["subject"] == "probe" and "run" in check["name"])
    assert ran["verdict"] == "OK"
    assert (
        f"http: hello over 127.0.0.1; https: hello over 127.0.0.1; user: {os.getuid()}; finalizer: ran" in ran["seen"]
    )


def test_the_archive_has_one_top_folder(native: Build) -> None:
    with tarfile.open(native.one(f"go*.{Target.host().dashed}.tar.gz")) as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == {"go"}


def test_its_runtime_is_sound(installed: Path, tmp_path: Path) -> None:
    the_runtime_is_sound(installed, tmp_path / "scratch")
