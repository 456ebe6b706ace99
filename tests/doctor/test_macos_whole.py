"""The whole doctor, told that this is macOS: scripts that print the samples stand in Apple's tools' place."""

import sys
from pathlib import Path

import pytest
from doctor_macos import DATA, by_name
from doctor_toys import fake, fuzzed, room, says

from gobuild.core.settings import Settings
from gobuild.doctor import Diagnosis, Grade, diagnosis_document, examine, latency, load, save
from gobuild.doctor.macos import hang, ioreg, killed, rosetta, signing

TOOLS = {
    # where a module keeps a tool's path -> what stands there; $4 and $6 are the files that sample and spindump write
    (hang, "PS"): "echo 20004006",
    (hang, "SAMPLE"): f'[ "$4" = -file ] && cat {DATA}/sample-metal.txt >"$5"',
    (hang, "SPINDUMP"): f'sed "s/op .6591./go [$1]/" {DATA}/spindump-op.txt >"$5"',
    (hang, "DTRACE"): f"cat {DATA}/dtrace-hang.txt",
    (signing, "CODESIGN"): f'if [ "$1" = -dvvv ]; then cat {DATA}/codesign-adhoc.txt; else echo "$4: valid on disk";'
    ' echo "$4: satisfies its Designated Requirement"; fi',
    (signing, "SPCTL"): 'if [ "$1" = --status ]; then echo assessments enabled; else echo "$5: rejected"; exit 3; fi',
    (signing, "CSRUTIL"): "echo 'System Integrity Protection status: enabled.'",
    (signing, "XATTR"): 'echo "xattr: $3: No such xattr: $2"; exit 1',
    (killed, "LOG"): f"cat {DATA}/log.ndjson",
    (rosetta, "SYSCTL"): "echo 1",
    (rosetta, "UNAME"): "echo arm64",
}


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(latency, "LIMIT", 0.7)
    monkeypatch.setattr(latency, "ROUNDS", 1)
    for (module, name), script in TOOLS.items():
        put(tools / name.lower(), script)
        monkeypatch.setattr(module, name, str(tools / name.lower()))
    second = f"if [ -e {tools}/again ]; then cat {DATA}/ioreg-during.plist"
    put(tools / "ioreg", f"{second}; else touch {tools}/again; cat {DATA}/ioreg-m1pro.plist; fi")
    monkeypatch.setattr(ioreg, "IOREG", (str(tools / "ioreg"), *ioreg.IOREG[1:]))
    return tools


def put(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def examined(go: Path, folder: Path, *, capture: bool = True) -> Diagnosis:
    settings = Settings(offline=True, cache=folder / "no-cache", dist=folder / "no-dist")
    return examine(go, settings=settings, environment=room(folder), cwd=folder, capture=capture)


@pytest.mark.usefixtures("mac")
def test_a_hang_is_captured_judged_bundled_and_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first hang takes all the time that there would be without captures: captures have time of their own.
    monkeypatch.setattr("gobuild.doctor.examination.TOTAL", 0.8)
    found = examined(fake(tmp_path, "hangs"), tmp_path)
    assert [each.seen for each in found.findings if each.name == "all of it"] == []
    findings = by_name(found.findings)
    says(findings["hang"], Grade.FAIL, "below Metal and IOKit")
    assert "Device Utilization % 2 -> 34" in findings["hang: accelerators"].seen
    assert findings["signer"].seen.startswith("nobody: ad hoc")
    assert (findings["SIP"].grade, findings["quarantine"].grade) == (Grade.OK, Grade.OK)
    told = str(diagnosis_document(found))
    assert [told.count(words) for words in ("Analysis of sampling", "gobuild 251553 syscall")] == [2, 1]  # two hangs
    assert "secret_frame_of_another" not in told
    assert "WindowServer" not in told
    save(found, tmp_path / "bundle.zip")
    monkeypatch.setattr(sys, "platform", "linux")
    assert load(tmp_path / "bundle.zip").findings == found.findings
    assert 20 < fuzzed(found, tmp_path / "b.json", 300) < 300
