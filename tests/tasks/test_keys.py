"""keys.new and keys.show."""

from pathlib import Path

import pytest
from inside import gobuild, refusals
from invoke.context import Context

from gobuild.core.errors import ConfigError, Refused
from gobuild.publish.sumdb.note import NoteSigner, Verifier
from gobuild.tasks import publishing


def test_a_new_key_shows_its_public_half_only(tmp_path: Path) -> None:
    done = gobuild(tmp_path, "keys.new", "--to", "k/sumdb.key", "--name", "acme.example/sumdb")
    assert done.code == 0, done.err
    signer = NoteSigner.read_file(tmp_path / "k/sumdb.key")
    assert Verifier.parse(done.out.splitlines()[0]) == signer.verifier
    assert signer.secret().rpartition("+")[2] not in done.out + done.err
    assert gobuild(tmp_path, "keys.show", "--key", "k/sumdb.key").out == f"{signer.verifier}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "a new key needs a file and a name"),
        ({"to": "there", "name": "acme.example"}, "never overwritten"),
        ({"to": "k", "name": "../x"}, "cannot be a checksum database's name"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(
    words: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").write_text("mine")
    with pytest.raises(ConfigError, match=message), refusals():
        publishing.new_key(Context(), **words)
    assert [path.name for path in tmp_path.iterdir()] == ["there"] and Path("there").read_text() == "mine"


@pytest.mark.parametrize(
    ("key", "message"), [("", "--key is an empty word"), ("gone", "cannot be read: No such file"), ("odd", "no se")]
)
def test_a_key_that_cannot_be_shown_is_refused(
    key: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd").write_text("PRIVATE KEY")
    with pytest.raises(ConfigError, match=message), refusals():
        publishing.show_key(Context(), key=key)


def test_a_folder_that_cannot_be_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"File exists: .*file"), refusals():
        publishing.new_key(Context(), to=str(tmp_path / "file/key"), name="acme.example")
