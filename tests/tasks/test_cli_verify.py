"""`gobuild verify`, as typed: reports, policy and exit code."""

import json
import os
import subprocess
from pathlib import Path

import junitparser
import pytest
from e2e.builds import captured, program
from invoke.context import Context
from needs import needs
from verify_fixtures import put

from gobuild.core import files
from gobuild.core.model import Check, Report, Verdict
from gobuild.tasks import verify


@pytest.fixture(scope="module")
def programs(hello: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good program, and one with a changed byte and a name that would change a terminal's colour."""
    folder = tmp_path_factory.mktemp("cli") / "programs"
    files.write(folder / "good", hello)
    files.write(folder / "bad\x1b[31m", put(hello, 0x5123, "<B", hello[0x5123] ^ 1))
    return folder


def typed(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # Without other tools: they have tests of their own.
    env = dict(os.environ) | {"NO_COLOR": "1", "COLUMNS": "160", "PATH": str(folder)}
    return captured(program("gobuild"), *words, cwd=folder, env=env, ok=False, timeout=60)


def test_every_report_is_written_though_a_check_failed(programs: Path, tmp_path: Path) -> None:
    names = ("r.json", "r.sarif", "r.xml", "r.html")
    done = typed(tmp_path, "verify", str(programs), "--json", *(word for name in names for word in ("--report", name)))
    assert done.returncode == 8, done.stderr
    assert done.stderr.partition("\n")[2].startswith("error: 1 check failed\n  bad\\x1b[31m: signature: 1 of ")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    printed = json.loads(done.stdout)
    assert printed == json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (printed["ok"], printed["of"], printed["counts"]["FAILED"]) == (False, str(programs), 1)
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "r.xml")).failures == 1
    assert len(json.loads((tmp_path / "r.sarif").read_text(encoding="utf-8"))["runs"][0]["results"]) == 1


def test_a_policy_decides_the_exit_code_and_is_shown(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(
        'schema = 1\n[[rule]]\ncheck = "signature"\nsubject = "bad*"\nseverity = "warn"\n'
        'reason = "changed by a test"\n',
        encoding="utf-8",
    )
    done = typed(tmp_path, "verify", str(programs), "--policy", "policy.toml")
    assert done.returncode == 0, done.stderr
    assert "allowed by policy (warn): changed by a test" in done.stdout
    assert "FAILED" in done.stdout
    assert "1 failed, and the policy allows it" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--report", "r.txt"), "r.txt is no name for a report"),
        (("--policy", "none.toml"), "the policy none.toml cannot be read"),
        (("--trust", "none.pem"), "no trusted roots in none.pem"),
        (("--report", "made.json"), "there is no nothing"),
        (("--run", "deeper"), "did you mean deep?"),
        (("--policy", ""), "--policy is an empty word"),
    ],
)
def test_bad_words_are_refused_before_any_work(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    done = typed(tmp_path, "verify", "nothing", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("words", "deep"), [({}, False), ({"run": "starts"}, False), ({"run": "deep"}, True)])
def test_run_says_how_deep(words: dict[str, str], deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def verify_path(_path: Path, **options: object) -> Report:
        asked.append(options["deep"])
        return Report(checks=(Check(subject="bin/go", name="starts", verdict=Verdict.OK, seen=""),))

    monkeypatch.setattr("gobuild.verify.verify_path", verify_path)
    verify(Context(), path="go", **words)
    assert asked == [deep]


def test_a_root_that_rfc_5280_forbids_is_one_message(tmp_path: Path) -> None:
    words = [needs("openssl"), "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x", "-set_serial", "0"]
    words += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "roots.pem")]
    subprocess.run(words, check=True, capture_output=True)
    done = typed(tmp_path, "verify", "nothing", "--trust", "roots.pem")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "RFC 5280" in done.stderr


def test_a_report_that_cannot_be_written_is_one_message(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = typed(tmp_path, "verify", str(programs / "good"), "--report", "file/r.json")
    assert done.returncode == 17
    assert "by --report" in done.stderr
