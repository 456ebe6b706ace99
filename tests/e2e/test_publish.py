"""Real toolchains published as a user types it, checked as a receiver types it, from the signature down."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from e2e.builds import Build, program
from needs import needs

pytestmark = pytest.mark.slow


def _invoke(folder: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = dict(os.environ) | {"COLUMNS": "200"} | more
    return subprocess.run(
        [program("gobuild"), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_two_real_releases_are_published_and_received(native: Build, newest: Build, tmp_path: Path) -> None:
    keys = ["-p", "minisign.pub", "-s", "minisign.key"]
    subprocess.run([needs("minisign"), "-G", "-W", *keys], cwd=tmp_path, check=True, capture_output=True)
    made = _invoke(tmp_path, "keys.new", "--to", "sumdb.key", "--name", "acme.example/sumdb")
    assert made.returncode == 0, made.stderr
    sumdb = made.stdout.split()[0]
    words = ["publish", "--to", "site", "--base-url", "https://go.acme.example", "--name", "go-acme"]
    signed = [*words, "--sign-key", "minisign.key", "--sumdb-key", "sumdb.key"]

    first = _invoke(tmp_path, *signed, "--from", str(native.dist))
    assert first.returncode == 0, first.stderr
    second = _invoke(tmp_path, *signed, "--from", str(newest.dist), "--from", str(native.dist))
    assert second.returncode == 0, second.stderr
    assert "1 of 2 builds new; every release is signed" in second.stdout
    again = _invoke(tmp_path, *signed, "--from", str(newest.dist))
    assert "nothing changed" in again.stdout

    about = json.loads((tmp_path / "site/tree.json").read_text())
    assert len(about["stamps"]) == 2 and about["sumdb"] == sumdb
    report = _invoke(tmp_path, "verify-release", "site", "--key", "minisign.pub", "--sumdb", sumdb, "--json")
    assert report.returncode == 0, report.stderr
    told = json.loads(report.stdout)
    assert told["ok"]
    verdicts = {(check["name"], check["verdict"]) for check in told["checks"]}
    assert {("h1", "OK"), ("digest", "OK"), ("signature", "OK"), ("tree head", "OK")} <= verdicts
    assert all(check["verdict"] == "OK" for check in told["checks"])

    archive = next((tmp_path / "site").resolve().glob(f"dl/{about['stamps'][1]}.*.tar.gz"))
    archive.chmod(0o644)
    with archive.open("r+b") as file:
        file.seek(archive.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    words = ["verify-release", "site", "--key", "minisign.pub", "--stamp", about["stamps"][1]]
    spoilt = _invoke(tmp_path, *words)
    assert spoilt.returncode == 5
    assert archive.name in spoilt.stdout + spoilt.stderr
