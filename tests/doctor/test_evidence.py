"""Secrets in the evidence, bundles that are saved, replayed, and refused."""

import json
import time
import zipfile
from pathlib import Path

import pytest
from doctor_toys import examined, fake, finding, fuzzed, only, room

from gobuild import doctor
from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.doctor import Diagnosis, latency, redact

SECRET = "s3cr3t-Kx9"  # no password of anybody's
PLANTED = {
    "GITHUB_TOKEN": SECRET + "1",
    "DB_PASS": "hunter",
    "SOMETHING": SECRET + "2",
    "GOAUTH": f"echo {SECRET}3",
    "GOOGLE_API_KEY": SECRET + "4",
    "SSH_PRIVATE": f"-----BEGIN-----\n{SECRET}5\n-----END-----",
    "GOPROXY": f"https://me:{SECRET}6@proxy.example,https://p.example/x?token={SECRET}7,direct",
    "GOFLAGS": f"-ldflags=-X=main.key={SECRET}8 \"-ldflags=-s -X 'main.other=b {SECRET}c d'\" "
    f"'-toolexec=/x/wrap --token {SECRET}E'",
    "LD_SECRET_KEY": SECRET + "9",
    "GOCACHEPROG": f"cacheprog --token={SECRET}A",
    "CC": f"cc --key {SECRET}B",
    "CXX": f"c++ {SECRET}C",
    "AR": f"ar {SECRET}D",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Diagnosis:
    """Of a go that prints its environment, under one that is full of secrets; the file of go env -w has more."""
    folder = tmp_path_factory.mktemp("doctor")
    env = room(folder, **PLANTED)
    lines = f"GOPROXY=https://me:{SECRET}a@x.example\nGOAUTH=git {SECRET}b\nGONOSUMDB=corp.example\nbad\n"
    files.write(folder / "home/.config/go/env", lines)
    return examined(fake(folder, "prints its environment"), folder, env)


def test_no_secret_is_in_the_bundle_the_page_or_the_json(found: Diagnosis, tmp_path: Path) -> None:
    doctor.save(found, tmp_path / "bundle.zip")
    with zipfile.ZipFile(tmp_path / "bundle.zip") as pack:
        texts = {name: pack.read(name).decode() for name in pack.namelist()}
    texts |= {"json": json.dumps(doctor.diagnosis_document(found)), "page": doctor.page(found), "repr": repr(found)}
    texts["table"] = "\n".join("".join(doctor.row(each)) for each in found.findings)
    for name, text in texts.items():
        assert SECRET not in text, f"{name}: {text[max(0, text.index(SECRET) - 100) :][:200]}"
        assert "hunter" not in text, name
    # The rest is still there: names and values that are allowed, hosts without credentials, the home as ~.
    evidence = found.evidence["environment"]
    assert evidence["shown"]["GOPROXY"] == "https://***@proxy.example,https://p.example/x?***"
    flags = "-ldflags=-X=main.key=*** \"-ldflags=-s -X 'main.other=***'\" '-toolexec=/x/wrap ***'"
    assert evidence["shown"]["GOFLAGS"] == flags
    values = {"GONOSUMDB": "corp.example", "GOPROXY": "https://***@x.example"}
    assert evidence["file"] == {"path": "~/.config/go/env", "values": values}
    assert "GOAUTH" not in evidence["shown"]
    said = found.evidence["start latency"]["measured"][1]["runs"][0]["output"]
    assert "GITHUB_TOKEN=***" in said
    assert "HOME=~\n" in said


def test_variables_that_look_like_gos_own_words_break_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their values are in no list of what may be shown; the first is set by many who use Docker on a Mac."""
    only(monkeypatch, "start latency", "environment")
    words = {"DOCKER_DEFAULT_PLATFORM": "linux/amd64", "GO_VERSION": "go1.22.10", "X": "environment", "AUTH": "exit"}
    found = examined(fake(tmp_path, "answers"), tmp_path, room(tmp_path, **words))
    assert finding(found, latency.CLEAN).grade is doctor.Grade.OK
    assert finding(found, latency.OWN).grade is doctor.Grade.OK
    hidden = redact.secrets({"LAST_AUTH": "failed", "KEY": "content"})
    checks = {"verdict": "failed", "by": "content", "seen": "it failed"}
    assert redact.redact_all(checks, hidden=hidden, home="") == checks | {"seen": "it ***"}


def test_a_bundle_is_judged_again_elsewhere(found: Diagnosis, tmp_path: Path) -> None:
    doctor.save(found, tmp_path / "bundle.zip")
    again = doctor.load(tmp_path / "bundle.zip")
    assert again == found
    (tmp_path / "plain.json").write_text(json.dumps(doctor.diagnosis_document(found)))
    assert doctor.load(tmp_path / "plain.json").findings == found.findings
    assert finding(again, latency.OWN).grade is doctor.Grade.FAIL


def test_findings_in_a_bundle_are_not_believed_and_texts_are_cleaned(found: Diagnosis, tmp_path: Path) -> None:
    told = json.loads(json.dumps(doctor.diagnosis_document(found)))
    told |= {"findings": [], "worst": "OK", "subject": "go\x1b]0;x\x07", "host": "<script>alert(1)</script>"}
    hostile = "\x1b[31m\u202egarbage</pre><img src=x onerror=alert(1)>"
    told["evidence"]["start latency"]["measured"][0]["runs"][-1]["output"] = hostile
    (tmp_path / "b.json").write_text(json.dumps(told))
    again = doctor.load(tmp_path / "b.json")
    assert (again.worst, again.subject) == (doctor.Grade.FAIL, "go\\x1b]0;x\\x07")
    assert "\\x1b[31m\\u202egarbage" in finding(again, latency.CLEAN).seen
    assert not [each for each in ("<script>", "<img") if each in doctor.page(again)]


def _document(evidence: str) -> str:
    return '{"schema": 1, "subject": "s", "when": "w", "host": "h", "evidence": ' + evidence + "}"


CHECK = '{"subject": "go", "name": "format", "verdict": "fine", "seen": "s"}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"schema": 2}', "[" * 100_000, "9" * 10_000),
        _document("{}").replace('"w"', "3"),
        _document("{}").replace('"schema": 1,', '"schema": 1, "schema": 1,'),
        _document("[]"),
        _document('{"other": {}}'),
        _document('{"binary": 3}'),
        _document('{"binary": {"problem": NaN}}'),
        _document('{"binary": {}}'),
        _document('{"binary": {"problem": "", "checks": [CHECK]}}'.replace("CHECK", CHECK)),
        _document('{"start latency": {"measured": 3}}'),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        doctor.load(path)


def test_a_bomb_and_a_strange_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("doctor.json", b" " * (64 << 20))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as pack:
        pack.writestr("../doctor.json", "{}")
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w", zipfile.ZIP_LZMA) as pack:
        pack.writestr("doctor.json", "{}" * 100)
    data = (tmp_path / "damaged.zip").read_bytes()
    (tmp_path / "damaged.zip").write_bytes(data[:50] + bytes(10) + data[60:])
    for name, says in (
        *(("damaged.zip", "no bundle"), ("bomb.zip", "more than 32 MiB")),
        *(("other.zip", "it holds 0"), ("none", "no such file")),
    ):
        with pytest.raises(ConfigError, match=says):
            doctor.load(tmp_path / name)


def test_changed_evidence_is_judged_or_refused_never_a_crash(found: Diagnosis, tmp_path: Path) -> None:
    assert 20 < fuzzed(found, tmp_path / "b.json") < 150


def test_redaction_takes_no_longer_for_hostile_text() -> None:
    words = ("a", "://", "a://", "-X ", "-X", "a.b-", "basic ", "x://a?", "-Xa='", "~/")
    began = time.process_time()
    for word in words:
        redact.redact_text(word * (200_000 // len(word)), hidden=("secret",), home="/home/me")
    assert time.process_time() - began < 5


def test_the_home_folder_is_hidden_and_other_paths_stay() -> None:
    assert redact.redact_text("/srv/root/x -I/home/me/x", home="/home/me") == "/srv/root/x -I~/x"
    assert redact.redact_text("/srv/root/x /root/x /roots", home="/root") == "/srv/root/x ~/x /roots"
