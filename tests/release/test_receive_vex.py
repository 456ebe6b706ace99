"""VEX documents that the publisher's own key signed, and that claim what does not follow from the manifests."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from publish_toys import STAMP, published, put_build, write_public_key
from receive_fixtures import BASE, PUBLISHER, RELEASE, received
from vulns_fixtures import telling

from gobuild.core.model import Verdict
from gobuild.publish.supply.attestations import SUMS, trusted_comment

pytestmark = pytest.mark.usefixtures("git")

OPENVEX, CYCLONEDX = "openvex.json", "vex.cdx.json"


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    """The folder of a signed release that tells of its vulnerabilities; one of them a patch says it fixes."""
    put_build(tmp_path / "dist", edit=telling("linux/amd64", fixes=["GO-2025-3563"]))
    published(tmp_path / "site", tmp_path / "dist", signer=PUBLISHER, base_url=BASE)
    write_public_key(PUBLISHER, tmp_path / "minisign.pub")
    return tmp_path / "site" / RELEASE


def sign_again(papers: Path, *without: str) -> None:
    """Lists what stands there now, and signs the list."""
    lines = (line.partition("  ")[::2] for line in (papers / SUMS).read_text().splitlines())
    sums = {name.strip(): digest for digest, name in lines if name.strip() not in without}
    for name in {OPENVEX, CYCLONEDX} & sums.keys():
        sums[name] = hashlib.sha256((papers / name).read_bytes()).hexdigest()
    (papers / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    (papers / f"{SUMS}.minisig").write_bytes(PUBLISHER.sign(papers / SUMS, trusted_comment(STAMP, SUMS)))


def test_what_was_published_passes_and_its_claims_are_counted(papers: Path) -> None:
    report = received(papers.parents[1])
    assert report.ok
    found = {check.subject.rpartition("/")[2]: check for check in report.checks if check.name == "claims"}
    assert {name: check.verdict for name, check in found.items()} == dict.fromkeys((OPENVEX, CYCLONEDX), Verdict.OK)
    assert found[OPENVEX].seen == f"{66 * 3}, as the manifests have it"  # of the release, its archive and its module


def _of_the_claimed(document: Any) -> Any:
    return next(each for each in document["statements"] if each["vulnerability"]["name"] == "GO-2025-3563")


FORGED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a claim becomes a fix": (OPENVEX, lambda it: _of_the_claimed(it).update(status="fixed")),
    "a statement less": (OPENVEX, lambda it: it["statements"].pop()),
    "upstream's Go besides": (
        OPENVEX,
        lambda it: _of_the_claimed(it)["products"].append({"@id": "pkg:golang/stdlib@1.22.10"}),
    ),
    "another archive": (
        OPENVEX,
        lambda it: _of_the_claimed(it)["products"][1]["hashes"].update({"sha-256": "0" * 64}),
    ),
    "another component": (
        OPENVEX,
        lambda it: _of_the_claimed(it)["products"][0]["subcomponents"][0].update({"@id": "pkg:golang/stdlib"}),
    ),
    "another name": (OPENVEX, lambda it: _of_the_claimed(it)["vulnerability"].update(aliases=["CVE-2025-1"])),
    "no form": (OPENVEX, lambda it: it.update(statements={})),
    "nothing to read": (OPENVEX, lambda it: it.pop("statements")),
    "another state": (CYCLONEDX, lambda it: it["vulnerabilities"][0]["analysis"].update(state="false_positive")),
    "another bill": (CYCLONEDX, lambda it: it["vulnerabilities"][0]["affects"][0].update(ref="urn:cdx:x/1#y")),
    "an entry less": (CYCLONEDX, lambda it: it["vulnerabilities"].pop(0)),
}


@pytest.mark.parametrize(("name", "forge"), FORGED.values(), ids=FORGED)
def test_a_signed_claim_that_does_not_follow_is_found(papers: Path, name: str, forge: Callable[[Any], object]) -> None:
    document = json.loads((papers / name).read_text())
    forge(document)
    (papers / name).unlink()
    (papers / name).write_text(json.dumps(document))
    sign_again(papers)
    failed = [(check.subject, check.name) for check in received(papers.parents[1]).failed]
    assert failed == [(f"{STAMP}/{name}", "claims")]


def test_one_that_is_not_what_was_signed_is_found_and_one_that_is_missing(papers: Path) -> None:
    text = (papers / OPENVEX).read_text()
    (papers / OPENVEX).unlink()
    assert [check.name for check in received(papers.parents[1]).failed] == ["claims"]
    (papers / OPENVEX).write_text(f"{text}\n")
    assert [check.name for check in received(papers.parents[1]).failed] == ["digest"]


def test_a_release_of_an_older_gobuild_has_none_and_says_so(papers: Path) -> None:
    sign_again(papers, OPENVEX, CYCLONEDX)
    report = received(papers.parents[1])
    assert report.ok
    assert [check.seen for check in report.checks if check.name == "claims"] == ["the release has none"] * 2
