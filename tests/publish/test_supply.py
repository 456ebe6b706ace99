"""The papers of a release: valid by their own schemas, and saying what the manifest says."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from needs import needs
from publish_toys import SIGNER, STAMP, TIME, published, put_build, write_public_key

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.process import run
from gobuild.publish.supply import provenance
from gobuild.publish.supply.signing import choose_signer


def _hostile(document: dict[str, Any]) -> None:
    document["patches"][0]["reason"] = '</script><script>alert(1)</script> "#{`id`}" \\" ${{ secrets }} {{ 7*7 }}'
    document["source"]["location"] = "https://user@example.com/?a=<b>&c='d'"


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """releases/STAMP of a tree with two targets, one of them with hostile words."""
    folder = tmp_path_factory.mktemp("papers")
    put_build(folder / "dist")
    put_build(folder / "dist", target="darwin/arm64", edit=_hostile)
    published(folder / "site", folder / "dist", signer=SIGNER)
    return folder / "site/releases" / STAMP


def test_the_bill_of_materials_is_valid_and_complete(papers: Path) -> None:
    text = (papers / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["timestamp"] == TIME
    components = {each["bom-ref"]: each for each in bill["components"]}
    assert len(components) == len(bill["components"])
    source = components[f"source:sha256:{'5' * 64}"]
    assert source["hashes"] == [{"alg": "SHA-256", "content": "5" * 64}]
    assert components["patch:goenv-local:282828282828"]["hashes"][0]["content"] == "28" * 32
    assert components[f"bootstrap:sha256:{'5' * 64}"]["scope"] == "excluded"
    tools = {each["name"]: each["version"] for each in bill["metadata"]["tools"]["components"]}
    assert {"gobuild", "invoke", "jinja2", "markupsafe", "cryptography", "cffi"} <= tools.keys()
    assert "pytest" not in tools
    bill["components"][0]["hashes"][0]["content"] = "no digest"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is not None  # it can refuse one


def test_the_provenance_is_over_the_archives_of_each_build(papers: Path) -> None:
    statements = [json.loads(line) for line in (papers / "provenance.intoto.jsonl").read_text().splitlines()]
    assert len(statements) == 2
    for statement in statements:
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
        told = statement["predicate"]
        target = told["buildDefinition"]["externalParameters"]["target"].replace("/", "-")
        manifest = papers / f"{STAMP}.{target}.gobuild.json"
        (byproduct,) = told["runDetails"]["byproducts"]
        assert byproduct == {"name": manifest.name, "digest": {"sha256": files.sha256(manifest)}}
        artifacts = json.loads(manifest.read_text())["artifacts"]
        assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == {
            each["file"]: each["sha256"] for each in artifacts
        }
        names = [each["name"] for each in told["buildDefinition"]["resolvedDependencies"]]
        assert names == ["source", "source tree", "patch goenv-local", "bootstrap"]


def test_digests_are_written_as_in_toto_writes_them() -> None:
    # The example of in-toto/attestation, spec/v1/digest_set.md.
    empty = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert provenance.digest_set(empty) == {"dirHash": hashlib.sha256(b"").hexdigest()}
    assert provenance.digest_set(f"git:{'a' * 40}") == {"gitCommit": "a" * 40}


def test_debians_programs_accept_the_papers(papers: Path, tmp_path: Path) -> None:
    """As a user checks them, with nothing of ours: minisign, then sha256sum over what was downloaded."""
    write_public_key(SIGNER, tmp_path / "minisign.pub")
    for name in ("SHA256SUMS", "sbom.cdx.json", "provenance.intoto.jsonl"):
        words = [needs("minisign"), "-V", "-p", str(tmp_path / "minisign.pub"), "-m", str(papers / name)]
        seen = subprocess.run(words, capture_output=True, text=True, check=False)
        assert seen.returncode == 0, seen.stderr
        assert f"release:{STAMP}" in seen.stdout
    words = ["sha256sum", "--ignore-missing", "--strict", "-c", str(papers / "SHA256SUMS")]
    summed = subprocess.run(words, cwd=papers.parents[1] / "dl", capture_output=True, text=True, check=False)
    assert summed.returncode == 0, summed.stdout
    assert f"{STAMP}.linux-amd64.tar.gz: OK" in summed.stdout
    listed = {line.split("  ")[1] for line in (papers / "SHA256SUMS").read_text().splitlines()}
    assert len(listed) == 9 + 2 + 2 + 4  # archives (the source is shared), manifests, bill and provenance, bottles


def test_who_signs_is_said_once(tmp_path: Path) -> None:
    assert choose_signer(None, None, "", run=run, password=None) is None
    for key, password_file, user, says in (
        (tmp_path / "key", None, "me", "both given"),
        (None, None, "--output=/etc/passwd", "no key of gpg's"),
        (tmp_path / "key", tmp_path / "nowhere", "", "no password can be read"),
    ):
        with pytest.raises(ConfigError, match=says):
            choose_signer(key, password_file, user, run=run, password=None)
