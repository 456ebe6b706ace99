"""VEX beside a release: valid by its schemas, named as scanners name things, and claiming no more than is known."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from openvex_schema import DOCUMENT
from publish_toys import SIGNER, STAMP, TIME, content_of, published, put_build
from vulns_fixtures import telling

from gobuild.core import files
from gobuild.core.errors import ChecksumMismatch, PublishError
from gobuild.publish.builds import find_builds

CLAIMED, PROVEN = "GO-2025-3563", "GO-2025-3751"
WINDOWS, POWER = "GO-2025-3750", "GO-2025-3447"
"""Of 1.22.10: one on Windows alone, one on ppc64le alone."""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """releases/STAMP of two targets: in one, a patch says what it fixes; in the other its test has passed, too."""
    folder = tmp_path_factory.mktemp("vex")
    put_build(folder / "dist", edit=telling("linux/amd64", fixes=[CLAIMED]))
    put_build(
        folder / "dist", target="darwin/arm64", edit=telling("darwin/arm64", fixes=["CVE-2025-22871"], tested="7e" * 32)
    )
    published(folder / "site", folder / "dist", signer=SIGNER)
    return folder / "site/releases" / STAMP


def statements(papers: Path, name: str) -> list[Any]:
    told = json.loads((papers / "openvex.json").read_text())["statements"]
    return [each for each in told if each["vulnerability"]["name"] == name]


def test_openvex_is_openvex(papers: Path) -> None:
    document = json.loads((papers / "openvex.json").read_text())
    checker = jsonschema.Draft202012Validator(DOCUMENT)
    checker.validate(document)
    assert (document["timestamp"], document["author"]) == (TIME, "go-acme")
    assert len({each["vulnerability"]["name"] for each in document["statements"]}) == 66
    for key, value in (("status", "unaffected"), ("justification", "x"), ("products", []), ("notes", "x")):
        wrong = deepcopy(document)
        wrong["statements"][0][key] = value
        assert not checker.is_valid(wrong)  # it can refuse one
    del document["statements"][0]["action_statement"]
    assert not checker.is_valid(document)


def test_cyclonedx_is_cyclonedx_and_refers_to_the_bill(papers: Path) -> None:
    text = (papers / "vex.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads((papers / "sbom.cdx.json").read_text())
    refs = {each["bom-ref"] for each in bill["components"]}
    links = {one["ref"] for each in json.loads(text)["vulnerabilities"] for one in each["affects"]}
    link = f"urn:cdx:{bill['serialNumber'].removeprefix('urn:uuid:')}/1#"
    assert {each.removeprefix(link) for each in links} <= refs
    assert {f"{link}pkg:golang/stdlib@1.22.10", f"{link}pkg:golang/toolchain@1.22.10"} <= links
    entries = {
        each["references"][0]["id"]: (each["id"], each["analysis"]["state"], each["analysis"].get("justification"))
        for each in json.loads(text)["vulnerabilities"]
    }
    assert entries["GO-2025-3373"] == ("CVE-2024-45341", "exploitable", None)
    assert entries[POWER] == ("CVE-2025-22866", "not_affected", "code_not_reachable")


def test_what_is_open_is_affected_and_says_what_to_do(papers: Path) -> None:
    (told,) = statements(papers, "GO-2025-3373")
    assert (told["status"], told["vulnerability"]["aliases"]) == ("affected", ["CVE-2024-45341"])
    assert told["action_statement"].endswith("https://pkg.go.dev/vuln/GO-2025-3373")
    toolchain = statements(papers, "GO-2026-6179")[0]["products"][0]["subcomponents"]
    assert [each["@id"] for each in toolchain] == ["pkg:golang/toolchain@1.22.10", "pkg:golang/toolchain@v1.22.10"]


def test_products_are_the_archives_and_never_upstreams_go(papers: Path) -> None:
    (told,) = statements(papers, "GO-2025-3373")
    manifests = [json.loads(path.read_text()) for path in papers.glob("*.gobuild.json")]
    digests = {
        each["sha256"]
        for manifest in manifests
        for each in manifest["artifacts"]
        if each["kind"] == "toolchain" or each["file"].endswith(".zip")
    }
    whole, *archives = told["products"]
    assert whole["@id"] == f"pkg:generic/go-acme@{STAMP[2:]}"
    assert {each["hashes"]["sha-256"] for each in archives} == digests
    for each in archives:
        assert each["@id"].startswith(f"{whole['@id']}?checksum=sha256:{each['hashes']['sha-256']}&file_name=")
    document = json.loads((papers / "openvex.json").read_text())
    products = {one["@id"] for each in document["statements"] for one in each["products"]}
    assert not any(each.startswith("pkg:golang/") for each in products)


def test_fixed_is_only_what_a_test_has_shown(papers: Path) -> None:
    """The same patch, said to fix the same, and shown on one target: nothing is said of the release as a whole."""
    found = {each["status"]: each for each in statements(papers, CLAIMED)}
    assert found.keys() == {"fixed", "under_investigation"}
    for status, target in (("fixed", "darwin-arm64"), ("under_investigation", "linux-amd64")):
        names = [each["@id"] for each in found[status]["products"]]
        assert len(names) == 2
        assert all(f"file_name={STAMP}.{target}" in each or f"-{STAMP}.{target}" in each for each in names)
    assert "no test of that is on record" in found["under_investigation"]["status_notes"]
    states = {
        each["analysis"]["state"]
        for each in json.loads((papers / "vex.cdx.json").read_text())["vulnerabilities"]
        if each["references"][0]["id"] == CLAIMED
    }
    assert states == {"resolved_with_pedigree", "in_triage"}


@pytest.mark.parametrize("name", [WINDOWS, POWER])
def test_what_is_for_another_system_is_not_affected_and_says_of_whom_it_is_true(papers: Path, name: str) -> None:
    (told,) = statements(papers, name)
    assert (told["status"], told["justification"]) == ("not_affected", "vulnerable_code_not_in_execute_path")
    assert "only on " in told["impact_statement"]
    assert "a program that it builds for such a system may have it" in told["impact_statement"]


def test_documents_are_the_same_each_time_and_go_with_the_list_of_digests(papers: Path, tmp_path: Path) -> None:
    dist = papers.parents[2] / "dist"
    published(tmp_path / "site", dist, signer=SIGNER)
    again = content_of(tmp_path / "site")
    sums = (papers / "SHA256SUMS").read_text()
    for name in ("openvex.json", "vex.cdx.json"):
        assert again[f"releases/{STAMP}/{name}"] == (papers / name).read_bytes()
        assert f"{files.sha256(papers / name)}  {name}\n" in sums


def test_a_release_without_known_vulnerabilities_has_none(tmp_path: Path) -> None:
    for number, edit in enumerate((None, telling("linux/amd64", release="1.26.6"))):
        put_build(tmp_path / f"{number}/dist", edit=edit)
        published(tmp_path / f"{number}/site", tmp_path / f"{number}/dist")
        assert not list((tmp_path / f"{number}/site/releases").glob("*/*vex*"))


def test_one_that_was_changed_in_the_tree_stops_the_next_publishing(tmp_path: Path) -> None:
    put_build(tmp_path / "dist", edit=telling("linux/amd64"))
    published(tmp_path / "site", tmp_path / "dist", signer=SIGNER)
    path = tmp_path / "site/releases" / STAMP / "openvex.json"
    text = path.read_text()
    path.unlink()
    with pytest.raises(PublishError, match=r"the tree has no openvex\.json"):
        published(tmp_path / "site", signer=SIGNER)
    path.write_text(text.replace('"affected"', '"fixed"'))
    with pytest.raises(ChecksumMismatch, match=r"openvex\.json in the tree is not what SHA256SUMS says"):
        published(tmp_path / "site", signer=SIGNER)


@pytest.mark.parametrize(("key", "value"), [("state", "mended"), ("modules", ["std"])])
def test_a_manifest_with_words_of_its_own_is_refused(tmp_path: Path, key: str, value: object) -> None:
    def edit(document: dict[str, Any]) -> None:
        telling("linux/amd64")(document)
        document["vulnerabilities"]["known"][0][key] = value

    put_build(tmp_path, edit=edit)
    with pytest.raises(PublishError, match="is in the state"):
        list(find_builds(tmp_path))
