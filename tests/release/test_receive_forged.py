"""Papers that the publisher's own key signed, and that do not agree with one another: each rule alone must see it."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from publish_toys import NEXT, STAMP, put_build
from receive_fixtures import DATABASE, PUBLISHER, RELEASE, publish_signed, received

from gobuild.core.errors import PublishError
from gobuild.core.model import Report, Verdict
from gobuild.publish.builds import find_builds
from gobuild.publish.sumdb import database as sumdb
from gobuild.publish.sumdb.note import NoteSigner
from gobuild.publish.sumdb.tlog import Head, Log
from gobuild.publish.supply.attestations import PROVENANCE, SBOM, SIGNED, SUMS, trusted_comment

pytestmark = pytest.mark.usefixtures("git")

FOLDER = f"proxy/sumdb/{DATABASE.name}"


@pytest.fixture
def papers(changed: Path) -> Path:
    """The folder of the release in a copy of the tree."""
    return changed / RELEASE


def _listed(papers: Path) -> dict[str, str]:
    lines = (papers / SUMS).read_text().splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sign(papers: Path, sums: dict[str, str], *, hashed: bool = True) -> None:
    """Lists and signs what stands there now, as only the publisher's key can."""
    if hashed:
        sums |= {name: hashlib.sha256((papers / name).read_bytes()).hexdigest() for name in (SBOM, PROVENANCE)}
    (papers / SUMS).write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    for name in SIGNED:
        (papers / f"{name}.minisig").write_bytes(PUBLISHER.sign(papers / name, trusted_comment(STAMP, name)))


def _other_subject(papers: Path) -> None:
    statement = json.loads((papers / PROVENANCE).read_text())
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    (papers / PROVENANCE).write_text(json.dumps(statement) + "\n")
    _sign(papers, _listed(papers))


def _no_statement(papers: Path) -> None:
    (papers / PROVENANCE).write_text("")
    _sign(papers, _listed(papers))


def _component_gone(papers: Path) -> None:
    bill = json.loads((papers / SBOM).read_text())
    bill["components"] = [each for each in bill["components"] if "goenv-local" not in each["name"]]
    (papers / SBOM).write_text(json.dumps(bill))
    _sign(papers, _listed(papers))


def _other_bill_than_listed(papers: Path) -> None:
    (papers / SBOM).write_text((papers / SBOM).read_text() + "\n")
    _sign(papers, _listed(papers), hashed=False)


def _manifest_of_another_stamp(papers: Path) -> None:
    dist = papers.parents[2] / "other"
    put_build(dist, stamp="go1.22.9-acme1.p1")
    (found,) = find_builds(dist)
    (papers / found.manifest_name).write_bytes(found.text)
    _sign(papers, _listed(papers) | {found.manifest_name: hashlib.sha256(found.text).hexdigest()})


def _manifest_of_other_bytes(papers: Path) -> None:
    (manifest,) = papers.glob("*.gobuild.json")
    digest = _listed(papers)[f"{STAMP}.src.tar.gz"]
    manifest.write_text(manifest.read_text().replace(digest, "0" * 64))
    _sign(papers, _listed(papers) | {manifest.name: hashlib.sha256(manifest.read_bytes()).hexdigest()})


def _file_less(papers: Path) -> None:
    _sign(papers, {name: digest for name, digest in _listed(papers).items() if not name.endswith(".src.tar.gz")})


FORGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "an empty list": (lambda papers: _sign(papers, {}, hashed=False), "manifests"),
    "a file more": (lambda papers: _sign(papers, _listed(papers) | {f"{STAMP}.zip": "0" * 64}), "coverage"),
    "a file less": (_file_less, "coverage"),
    "another subject": (_other_subject, "subjects"),
    "no statement": (_no_statement, "subjects"),
    "a component gone": (_component_gone, "components"),
    "another bill than listed": (_other_bill_than_listed, "digest"),
    "a manifest of other bytes than listed": (_manifest_of_other_bytes, "digest"),
    "a manifest of another stamp": (_manifest_of_another_stamp, "manifest"),
}


def _verified(papers: Path) -> Report:
    return received(papers.parents[1], sumdb=str(DATABASE.verifier))


@pytest.mark.parametrize(("forge", "name"), FORGED.values(), ids=FORGED)
def test_signed_papers_that_disagree_are_found(papers: Path, forge: Callable[[Path], None], name: str) -> None:
    forge(papers)
    report = _verified(papers)
    assert all(check.verdict is Verdict.OK for check in report.checks if check.name == "signature")
    assert name in {check.name for check in report.failed}


def _log(tree: Path, record: bytes) -> None:
    """Another log over the same version, whole and signed."""
    folder = tree / FOLDER
    shutil.rmtree(folder)
    log = Log()
    sumdb._publish(folder, log, 0, {record.split(b" ")[1].decode(): log.append(record)}, DATABASE)


@pytest.mark.parametrize("change", ["other hash", "other version"])
def test_a_module_that_was_logged_with_another_hash_or_never_is_found(papers: Path, change: str) -> None:
    tree = papers.parents[1]
    (record,) = sumdb.existing_database(tree, DATABASE.verifier).log.records
    at = record.index(b"h1:") + 3
    other = record[:at] + b"AAAA" + record[at + 4 :]
    _log(tree, other if change == "other hash" else record.replace(STAMP.encode(), b"go1.22.9-acme1.p1"))
    assert [check.name for check in _verified(papers).failed] == ["h1"]


def test_a_lookup_with_the_head_of_another_log_is_found(papers: Path) -> None:
    """Its record is the right one, its head is signed: and it is of a log that nobody else sees."""
    (lookup,) = (papers.parents[1] / FOLDER / "lookup" / "golang.org").iterdir()
    frame = lookup.read_bytes().partition(b"\n\n")[0] + b"\n\n"
    lookup.write_bytes(frame + DATABASE.sign(Head(size=1, root=bytes(32)).to_text()))
    (failed,) = (check for check in _verified(papers).failed if check.name == "tree head")
    assert "has the head of another log" in failed.seen


def test_a_tree_with_a_database_goes_on_with_it_alone(tmp_path: Path) -> None:
    publish_signed(tmp_path, STAMP)
    with pytest.raises(PublishError, match="so nobody could download it"):
        publish_signed(tmp_path, NEXT, database=None)
    with pytest.raises(PublishError, match=r"the tree has the checksum database acme\.example/sumdb, not other"):
        publish_signed(tmp_path, database=NoteSigner(name="other.example/sumdb", seed=bytes(32)))
