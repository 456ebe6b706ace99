"""A go command that macOS kills, distrusts or translates; snapshots of the graphics. Samples: tests/data/doctor."""

import json
import os
import plistlib
import struct
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from doctor_macos import DATA, MISSING, Recorded, Said, by_name, case, sample
from doctor_toys import says

from gobuild.core.errors import ConfigError
from gobuild.doctor.examination import TOPICS, collect_evidence, diagnose
from gobuild.doctor.macos import ioreg, killed, reasons, rosetta, signing
from gobuild.doctor.model import Finding, Grade

# Signatures, Gatekeeper, quarantine, SIP

ABSENT = "xattr: /usr/local/go/bin/go: No such xattr: com.apple.quarantine\n"
SIGNED: dict[str, Said] = {
    "codesign --verify": "go: valid on disk\ngo: satisfies its Designated Requirement\n",
    "codesign -dvvv": sample("codesign-adhoc.txt"),
    "spctl --status": "assessments enabled\n",
    "spctl --assess": "go: rejected\n",
    "xattr": ABSENT,
}


def test_an_ad_hoc_signature_is_fine(tmp_path: Path) -> None:
    part = signing.collect(case(tmp_path, start=Recorded({**SIGNED, "csrutil": MISSING})))
    findings = by_name(signing.diagnose(part))
    assert findings.pop("SIP").grade is Grade.SKIPPED
    assert {each.grade for each in findings.values()} == {Grade.OK}
    assert findings["signer"].seen == "nobody: ad hoc (adhoc,linker-signed)"
    assert "counts only for quarantined files" in findings["Gatekeeper"].seen
    assert findings["quarantine"].seen == "none"


VALID, APP = "go: valid on disk\ngo: ", "(the code is valid but does not seem to be an app)"
AGENT = "Google\\x20Chrome;6450771A-E86F-4986-9826-58BDD7872659"
CUSTOM = "unknown (Custom Configuration).\n\nConfiguration:\n"
STATUS = "System Integrity Protection status: "


@pytest.mark.parametrize(
    ("name", "said", "finding", "grade", "seen"),
    [
        ("codesign", sample("codesign-apple.txt"), "signer", Grade.OK, "Software Signing, team not set"),
        ("codesign", "go: code object is not signed at all\n", "signer", Grade.WARN, "not signed"),
        ("codesign", "\x1b[2J???", "signer", Grade.SKIPPED, "nothing that is known"),
        ("verify", "go: invalid signature (code have been modified)\n", "signature", Grade.FAIL, "modified"),
        ("verify", f"{VALID}does not satisfy its designated Requirement", "signature", Grade.FAIL, "does not satisfy"),
        ("assess", "go: accepted\nsource=Notarized", "Gatekeeper", Grade.OK, "accepted; source=Notarized"),
        ("assess", f"go: rejected {APP}\norigin=X\n", "Gatekeeper", Grade.OK, "does not seem to be an app"),
        ("quarantine", ABSENT, "quarantine", Grade.OK, "none"),
        ("quarantine", f"0001;54208977;{AGENT}\n", "quarantine", Grade.WARN, "by Google Chrome, flags 0001: nobody"),
        ("quarantine", "00c1;54208977;Safari;\n", "quarantine", Grade.OK, "the user has agreed"),
        ("quarantine", "zz;;", "quarantine", Grade.SKIPPED, "not read"),
        ("sip", f"{STATUS}disabled.\n", "SIP", Grade.WARN, "disabled"),
        ("sip", STATUS + CUSTOM, "SIP", Grade.WARN, "Custom"),
        ("sip", "command not found", "SIP", Grade.SKIPPED, "nothing that is known"),
        ("status", "assessments disabled\n", "Gatekeeper", Grade.WARN, "off on this Mac"),
        ("assess", "go: rejected\nsource=X\n", "Gatekeeper", Grade.FAIL, "rejected; source=X, and the file is quar"),
    ],
)
def test_each_answer_has_its_verdict(name: str, said: str, finding: str, grade: Grade, seen: str) -> None:
    """One tool's answer changed, in the evidence itself."""
    texts = {**dict.fromkeys(signing.JUDGES, ""), "status": "assessments enabled\n"}
    texts |= {"quarantine": "0081;54208977;Safari;6450771A"} | {name: said}
    part = {key: {"code": 0, "text": text} for key, text in texts.items()}
    says(by_name(signing.diagnose(part))[finding], grade, seen)


# Killed

LINES = sample("log-lines.txt").splitlines()


EXPLAINED = (
    *zip(
        LINES[:9],
        (
            *("invalid page", "invalid page", "signature not loaded", "not signed", "security policy"),
            *("no certificate", "no certificate", "broken signature with a team", "no LC_UUID"),
        ),
        strict=True,
    ),
    ("AMFI: code signature validation failed.", "signature refused"),
    ("AMFI: '/x': unsuitable CT policy 0 for this platform/device, rejecting signature.", "signature refused"),
    ("Reason: tried: '/x' (code signature invalid in '/x' (errno=1) sliceOffset=0x0)", "library signature"),
    ("code signature in <1> '/x' not valid for use in process: library load disallowed", "library signature"),
    ("'/x' not valid for use in process: library load disallowed by system policy", "library quarantined"),
    ("Library not loaded: @rpath/a.dylib", "library missing"),
    ("CODESIGNING, Code 4 Launch Constraint Violation", "launch constraint"),
    ("CODESIGNING, Code 1 Taskgated Invalid Signature", "taskgated"),
    ("AMFI: Code has restricted entitlements, but the validation failed", "restricted entitlements"),
    ("dyld[1]: Symbol not found: _x", "symbol missing"),
    ("zsh: bad CPU type in executable: go", "wrong architecture"),
)
"""Lines of the samples, then such as reports quote; and the row of the table that explains each."""


@pytest.mark.parametrize(("line", "name"), EXPLAINED)
def test_every_known_line_is_explained(line: str, name: str) -> None:
    ((reason, shown),) = reasons.explain(line)
    assert (reason.name, shown) == (name, line)
    assert reason.cure or reason.grade is Grade.OK


def test_every_row_has_a_line_that_it_explains_and_other_lines_have_none() -> None:
    assert {name for _, name in EXPLAINED} == {each.name for each in reasons.REASONS}
    assert list(reasons.explain(LINES[9])) == []


def test_hostile_lines_take_no_long() -> None:
    began = time.process_time()
    for line in ("CODE SIGNING: " * 300, "AMFI: " * 700, "code signature in " * 230, "a" * 10**5):
        list(reasons.explain((line + "\n") * 50))
    assert time.process_time() - began < 8


def test_crash_reports() -> None:
    page = killed.crash(sample("crash-codesigning.ips"))
    assert page == {
        "path": "/Users/USER/*/main",
        "at": "2023-10-17 11:28:44.4118 +0800",
        "translated": False,
        "signal": "SIGKILL (Code Signature Invalid)",
        "namespace": "CODESIGNING",
        "code": 2,
        "indicator": "Invalid Page",
        "reasons": [],
    }
    loader = killed.crash(sample("crash-dyld.ips"))
    assert loader["reasons"][0] == "Symbol not found: __ZN5boost10filesystem4path9append_v3ERKS1_"
    for broken in ("", "{}\n", "{}\n[]", "{}\n" + "[" * 100_000):
        with pytest.raises(ValueError, match=r".*"):
            killed.crash(broken)


def dead(
    folder: Path, says: dict[str, Said], *, report: str = "", age: float = 0, **how: Any
) -> tuple[dict[str, Finding], Recorded]:
    if report:
        place = folder / "home" / killed.REPORTS
        place.mkdir(parents=True)
        for name, content in (("go", report), ("gone", "crash-dyld.ips")):
            path = place / f"{name}-2026-11-23-150000.ips"
            path.write_text(sample(content), encoding="utf-8")
            os.utime(path, (time.time() - age,) * 2)
    run = Recorded(says)
    part = killed.collect(case(folder, start=run, **how))
    return by_name(killed.diagnose(json.loads(json.dumps(part)))), run


def test_a_killed_go_is_explained_by_the_log_and_its_crash_report(tmp_path: Path) -> None:
    findings, run = dead(tmp_path, {"version": -9, "show": sample("log.ndjson")}, report="crash-codesigning.ips")
    assert set(findings) == {"killed: invalid page"}  # another program's security policy is not ours
    says(findings["killed: invalid page"], Grade.FAIL, "golang/go#63997", "codesign --force --sign -")
    assert "--style ndjson" in " ".join(run.asked[1])


def test_dyld_says_it_on_standard_error(tmp_path: Path) -> None:
    said = "dyld[3844]: missing LC_UUID load command in /usr/local/go/bin/go\n"
    findings, _ = dead(tmp_path, {"version": (-6, said), "show": ""})  # dyld aborts
    says(findings["killed: no LC_UUID"], Grade.FAIL, "link-uuid")


@pytest.mark.parametrize(
    ("shown", "seen", "advice"),
    [
        ("", "no reason that is known here", "a kill -9 by a user"),
        ((77, "usage: log\nlog: Could not open log store"), "log could not be read", "sudo log show"),
    ],
)
def test_killed_without_a_word_says_so(tmp_path: Path, shown: Said, seen: str, advice: str) -> None:
    findings, _ = dead(tmp_path, {"version": -9, "show": shown}, report="crash-codesigning.ips", age=1000)
    says(findings["killed"], Grade.FAIL, seen, advice)
    skipped = [each.seen for each in findings.values() if each.grade is Grade.SKIPPED]
    assert skipped == ["log show was refused (exit code 77): log: Could not open log store"] * bool(shown)


def test_a_go_that_lives_costs_no_log(tmp_path: Path) -> None:
    findings, run = dead(tmp_path, {"version": "go version go1.22.10 darwin/arm64\n"})
    assert findings["killed"].grade is Grade.OK
    assert [words[1:] for words in run.asked] == [("version",)]
    # Asked for captures, old lines only warn.
    findings, _ = dead(tmp_path, {"version": "go version\n", "show": sample("log.ndjson")}, capture=True)
    assert findings["killed: invalid page"].grade is Grade.WARN


# Rosetta


def macho(cpu: int) -> bytes:
    return struct.pack("<II", 0xFEEDFACF, cpu) + bytes(24)


AMD64, ARM64 = macho(0x01000007), macho(0x0100000C)
FAT = struct.pack(">12I", 0xCAFEBABE, 2, 0x01000007, 0, 48, 32, 5, 0x0100000C, 0, 80, 32, 5) + AMD64 + ARM64


def test_the_header_says_the_architecture(darwin_wheel: Path, tmp_path: Path) -> None:
    for data, cpus in (
        (FAT, ["amd64", "arm64"]),
        (FAT[:-1], []),  # cut
        (macho(7), ["CPU type 0x7"]),
        (struct.pack(">2I", 0xCAFEBABE, 9) + struct.pack(">5I", 7, 0, 188, 32, 5) * 9 + macho(7), []),  # too many
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x37", []),  # a Java class
        (b"", []),
        (b"\x7fELF", []),
        (b"#!/bin/sh\n", []),
    ):
        (tmp_path / "go").write_bytes(data)
        assert rosetta.architectures(tmp_path / "go") == cpus
    assert rosetta.architectures(darwin_wheel / "bin/go") == ["arm64"]
    assert rosetta.architectures(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("header", "arm", "uname", "translated", "grades"),
    [
        (ARM64, "1", "arm64", "0", {"Rosetta": Grade.OK}),
        (FAT, "1", "arm64", "0", {"Rosetta": Grade.OK}),
        (AMD64, "1", "arm64", "0", {"Rosetta": Grade.WARN}),
        (AMD64, "1", "x86_64", "1", {"Rosetta": Grade.WARN, "Rosetta: shell": Grade.WARN}),
        (ARM64, "1", "x86_64", "1", {"Rosetta": Grade.OK, "Rosetta: shell": Grade.WARN}),
        (AMD64, "sysctl: unknown oid", "x86_64", "sysctl: unknown oid", {"Rosetta": Grade.OK}),
        (ARM64, "sysctl: unknown oid", "x86_64", "", {"Rosetta": Grade.FAIL}),
        (b"#!/bin/sh\n", "1", "arm64", "0", {"Rosetta": Grade.SKIPPED}),
    ],
)
def test_rosetta(
    tmp_path: Path, header: bytes, arm: str, uname: str, translated: str, grades: dict[str, Grade]
) -> None:
    (tmp_path / "go").write_bytes(header)
    run = Recorded({"sysctl.proc_translated": translated, "hw.optional.arm64": arm, "uname": uname + "\n"})
    part = rosetta.collect(case(tmp_path, go=tmp_path / "go", start=run))
    assert {name: each.grade for name, each in by_name(rosetta.diagnose(part)).items()} == grades


# Snapshots of the accelerators


def test_a_snapshot_is_read() -> None:
    read = ioreg.read_ioreg((DATA / "ioreg-during.plist").read_bytes())["AGXAcceleratorG13X"]
    assert len(read) == 20
    assert (
        read.items()
        >= {
            **{"class": "AGXAcceleratorG13X", "model": "Apple M1 Pro", "busy count": 1, "busy, ms": 917},
            **{
                "power state": 1,
                "highest power state": 1,
                "probe score": 0,
                "recoveryCount": 0,
                "fLastSubmissionPID": 4711,
            },
            **{"opened by": "pid 390, WindowServer; pid 4711, go", "Device Utilization %": 34},
        }.items()
    )
    twins = plistlib.dumps([{"IORegistryEntryName": "A", "IORegistryEntryID": number} for number in (1, 2)])
    assert list(ioreg.read_ioreg(twins)) == ["A", "A 0x2"]
    assert ioreg.read_ioreg(b"") == {}


def test_two_saved_snapshots() -> None:
    found = ioreg.compare(DATA / "ioreg-m1pro.plist", DATA / "ioreg-during.plist")
    assert all(len(row) == len(ioreg.COLUMNS) for row in found)
    assert {row[1:] for row in found} >= {
        ("busy count", "0", "1"),
        ("busy, ms", "17", "917"),
        ("power state", "—", "1"),
        ("Device Utilization %", "2", "34"),
        ("fLastSubmissionPID", "390", "4711"),
        ("opened by", "—", "pid 390, WindowServer; pid 4711, go"),
    }
    assert ioreg.compare(DATA / "ioreg-m1pro.plist", DATA / "ioreg-m1pro.plist") == []
    other = ioreg.compare(DATA / "ioreg-m1pro.plist", DATA / "ioreg-m4pro.plist")
    assert [row[1:] for row in other] == [("node", "there", "—"), ("node", "—", "there")]


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><plist><array><string>&b;</string></array></plist>"""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no accelerator"),
        (b"+-o AGXAcceleratorG13X  <class AGXAcceleratorG13X>", "no output of ioreg -a"),
        (b"bplist00", "no output of ioreg -a"),
        (b"<?xml version='1.0'?><plist><array>", "no output of ioreg -a"),
        (ENTITIES, "no output of ioreg -a"),
        (plistlib.dumps(["text"]), "no output of ioreg -a"),
        (plistlib.dumps([{"IORegistryEntryName": "A", "IORegistryEntryChildren": 3}]), "no output of ioreg -a"),
        (b"<plist>" + b"<array>" * 100_000, "no output of ioreg -a"),
    ],
)
def test_a_snapshot_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, says: str
) -> None:
    path = tmp_path / "snapshot"
    with pytest.raises(ConfigError, match="No such file"):
        ioreg.compare(path, path)
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=says) as caught:
        ioreg.compare(path, path)
    assert "ioreg -a" in caught.value.hint
    monkeypatch.setattr(ioreg, "LARGEST", 10)
    with pytest.raises(ConfigError, match="MiB"):
        ioreg.compare(DATA / "ioreg-m1pro.plist", path)


def accelerators(folder: Path, said: Said) -> tuple[dict[str, Finding], str]:
    evidence = json.dumps({ioreg.TOPIC: ioreg.snapshot(case(folder, start=Recorded({"ioreg": said})))})
    found = diagnose(json.loads(evidence))
    return by_name(each for each in found if each.name.startswith("accelerator")), evidence


def test_an_accelerator_at_rest_and_one_that_is_not(tmp_path: Path) -> None:
    found, _ = accelerators(tmp_path, sample("ioreg-m1pro.plist"))
    rests = found["accelerator AGXAcceleratorG13X"]
    assert (rests.grade, rests.seen) == (Grade.OK, "class AGXAcceleratorG13X, busy count 0")
    found, evidence = accelerators(tmp_path, sample("ioreg-during.plist"))
    assert found["accelerator AGXAcceleratorG13X"].grade is Grade.WARN
    assert "WindowServer" not in evidence
    for said, reason in ((MISSING, "cannot run it"), ("", "knows no accelerator"), ("x", "no output of ioreg -a")):
        (skipped,) = accelerators(tmp_path, said)[0].values()
        says(skipped, Grade.SKIPPED, reason)


# All of them

MACOS = [each for each in TOPICS if each.macos]


@pytest.mark.parametrize(
    ("platform", "left", "reason"), [("linux", 9, "needs macOS"), ("darwin", 0, "no time was left")]
)
def test_elsewhere_and_out_of_time_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, left: float, reason: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr("gobuild.doctor.examination.TOPICS", MACOS)
    run = Recorded({})
    found = diagnose(collect_evidence(case(tmp_path, start=run, deadline=time.monotonic() + left)))
    assert {(each.grade, each.seen) for each in found} == {(Grade.SKIPPED, reason)}
    assert ({each.name for each in found}, run.asked) == ({each.macos for each in MACOS}, [])
