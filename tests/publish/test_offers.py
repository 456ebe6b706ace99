"""A manifest is somebody's text: what gobuild would not have written is refused, and told of without harm."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from publish_toys import STAMP, put_build

from gobuild.core.errors import ConfigError, PublishError
from gobuild.publish.builds import find_builds, parse_build

ALLOWED = {
    "subject": "bin/go",
    "name": "format",
    "verdict": "FAILED",
    "seen": "no UUID",
    "expected": "a UUID",
    "severity": "warn",
    "reason": "our macOS does not ask for it",
}
"""A check as gobuild writes it where a policy let it fail."""

Edit = Callable[[dict[str, Any]], None]


def _set(*path: str | int, to: object) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return edit


def test_a_true_manifest_is_an_offer(tmp_path: Path) -> None:
    put_build(tmp_path)
    (found,) = find_builds(tmp_path)
    assert found.key == (STAMP, "linux/amd64")
    assert found.manifest_name == f"{STAMP}.linux-amd64.gobuild.json"
    assert [archive.kind for archive in found.archives] == ["toolchain", "source", "module", "module", "module"]
    assert all(archive.path.parent == tmp_path for archive in found.archives)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_set("artifacts", 0, "file", to="../../etc/passwd"), "not those of such a build"),
        (_set("artifacts", 0, "file", to="/etc/passwd"), "not those of such a build"),
        (_set("artifacts", 0, "file", to="a\\b.tar.gz"), "not those of such a build"),
        (_set("artifacts", 1, "kind", to="toolchain"), "is called a"),
        (_set("artifacts", 0, "sha256", to="0" * 63), "no SHA-256"),
        (_set("artifacts", 0, "size", to=10**30), "bytes"),
        (_set("artifacts", 0, "size", to=-1), "bytes"),
        (_set("artifacts", 0, "size", to=True), "it.artifacts[0].size is 'True'"),
        (_set("artifacts", to=[]), "not those of such a build"),
        (_set("stamp", to="go1.22.10-../../x"), "the stamp"),
        (_set("stamp", to="go1.23.1-acme1"), "the stamp"),
        (_set("release", to="1.22.10\n"), "characters that nobody sees"),
        (_set("build", "target", to="plan9/386"), "no target"),
        (_set("schema", to=2), "schema 2"),
        (_set("patches", 0, "name", to='x" onclick="'), "no patch's name"),
        (_set("patches", 0, "state", to="conflict"), "in the state"),
        (_set("patches", 0, "sha256", to="../.."), "a digest of the patch"),
        (_set("patches", 0, "reason", to="a\x1b[2Jb"), "characters that nobody sees"),
        (_set("patches", 0, "reason", to="safe \u202e esrever"), "characters that nobody sees"),
        (_set("patches", 0, "reason", to="x" * 30_000), "too long"),
        (_set("source", "digest", to="md5:00"), "the digest of the source is"),
        (_set("source", "tree", to="md5:00"), "the digest of the source's tree is"),
        (_set("checks", 0, "verdict", to="FAILED"), "passed its checks"),
        (_set("checks", to=[]), "passed its checks"),
        (_set("run", to="fast"), "it.run is"),
        (_set("patches", 0, "files", to="a.go"), "it.patches[0].files is no list"),
        (_set("checks", 0, to=5), "it.checks[0] is"),
        (lambda document: document.pop("source"), "it.source is missing"),
        (_set("profile", "cgo_enabled", to=[]), "it.profile.cgo is"),
        (_set("profile", "cgo_enabled", to={}), "it.profile.cgo is"),
        (_set("checks", 0, to=ALLOWED | {"reason": ""}), "passed its checks"),
        (_set("checks", 0, to=ALLOWED | {"severity": "error"}), "passed its checks"),
        (_set("checks", 0, to=ALLOWED | {"severity": "fine"}), "it.checks[0].severity is"),
        (_set("checks", 0, to=ALLOWED | {"reason": ["x"]}), "it.checks[0].reason is"),
        (_set("signing", to=[]), "it.signing is"),
        (_set("signing", to={"by": ["x"]}), "it.signing['by'] is"),
    ],
)
def test_what_gobuild_would_not_write_is_refused(tmp_path: Path, edit: Edit, says: str) -> None:
    put_build(tmp_path, edit=edit)
    with pytest.raises(PublishError) as caught:
        list(find_builds(tmp_path))
    assert says in str(caught.value)
    assert caught.value.exit_code == 9
    assert not any(ord(letter) < 32 and letter != "\n" for letter in str(caught.value))


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1]", b"null", b'"x"', b"[" * 200_000, b'{"schema": NaN}', b"\xff\xfe", b'{"a": 1, "a": 2}',
     b'{"schema": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(PublishError, match="cannot be used"):
        parse_build(text, "x.gobuild.json", archives=Path())


def test_a_manifest_under_another_name_is_refused(tmp_path: Path) -> None:
    manifest = put_build(tmp_path)
    manifest.rename(tmp_path / "go1.22.10-other.linux-amd64.gobuild.json")
    with pytest.raises(PublishError, match=r"it is of go1\.22\.10-acme1"):
        list(find_builds(tmp_path))


def test_what_a_later_gobuild_says_a_policy_allowed_and_who_signed_may_stand_in_it(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["later"] = {"a": [1, None, 2.5]}
        document["checks"].append(ALLOWED)
        document["signing"] = {"by": "ad hoc", "tool": "apple-platform-py 0.1"}
        document["profile"]["cgo_enabled"] = None  # the profile upstream's

    put_build(tmp_path, edit=edit)
    assert len(list(find_builds(tmp_path))) == 1


def test_what_cannot_be_read_as_a_manifest_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "x.gobuild.json"
    path.mkdir()
    with pytest.raises(PublishError, match=r"'x\.gobuild\.json' cannot be read: Is a directory"):
        list(find_builds(tmp_path))
    path.rmdir()
    path.symlink_to("nowhere")
    with pytest.raises(PublishError, match=r"'x\.gobuild\.json' cannot be read: No such file"):
        list(find_builds(tmp_path))
    with pytest.raises(ConfigError, match="there is no folder"):
        list(find_builds(tmp_path / "nowhere"))
