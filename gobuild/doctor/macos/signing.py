"""Who signed the go command, and whether this Mac lets it run: codesign, spctl, the quarantine attribute, SIP.

The quarantine's flags are those of libquarantine (qtn.h): 0x40 is "the user has agreed".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.doctor.macos.reasons import NOTARIZE, SIGN_ANEW
from gobuild.doctor.macos.tools import ask, last_line, output_of, why_skipped
from gobuild.doctor.model import MACOS, Case, Finding

CODESIGN, SPCTL, CSRUTIL, XATTR = "/usr/bin/codesign", "/usr/sbin/spctl", "/usr/bin/csrutil", "/usr/bin/xattr"

FIELD = re.compile(r"^([A-Za-z][A-Za-z. ]{1,40})=(.{0,500})$", re.MULTILINE)
FLAGS = re.compile(r"\bflags=0x[0-9a-f]{1,8}\(([a-z0-9,-]{1,200})\)")
QUARANTINE = re.compile(r"(?P<flags>[0-9a-f]{4});[0-9a-f]{0,16};(?P<agent>[^;\n]{0,200})")
"""The attribute's flags, a time, the program that set it, and a UUID."""

SECONDS = 5.0
"""For each tool; spctl may ask Apple's servers."""


def collect(case: Case) -> dict[str, Any]:
    """Asks Apple's tools about the go command."""
    questions: dict[str, list[str | Path]] = {
        "codesign": [CODESIGN, "-dvvv", case.go],
        "verify": [CODESIGN, "--verify", "--strict", "--verbose=2", case.go],
        "status": [SPCTL, "--status"],
        "assess": [SPCTL, "--assess", "--type", "execute", "-vv", case.go],
        "sip": [CSRUTIL, "status"],
        "quarantine": [XATTR, "-p", "com.apple.quarantine", case.go],
    }
    return {name: ask(argv, case=case, seconds=SECONDS) for name, argv in questions.items()}


def diagnose(part: Mapping[str, Any]) -> Iterator[Finding]:
    """Says who signed it, whether that is valid, and what Gatekeeper, quarantine and SIP make of it."""
    for tool, (name, judge) in JUDGES.items():
        if reason := why_skipped(part, tool):
            yield MACOS.skipped(name, reason)
        elif found := judge(part):
            yield found


def _signer(part: Mapping[str, Any]) -> Finding:
    text = output_of(part, "codesign")
    fields = dict(reversed(FIELD.findall(text)))  # of several Authority lines the first names the signer
    if "not signed at all" in text:
        kills = "Apple silicon kills what is not signed, Intel does not"
        return MACOS.warn("signer", "not signed", f"codesign --force --sign - FILE, or gobuild sign: {kills}")
    if fields.get("Signature") == "adhoc":
        flags = FLAGS.search(text)
        return MACOS.ok("signer", f"nobody: ad hoc ({flags[1] if flags else 'no flags told'})")
    if "Authority" in fields:
        return MACOS.ok("signer", f"{fields['Authority']}, team {fields.get('TeamIdentifier', 'not told')}")
    return MACOS.skipped("signer", f"codesign said nothing that is known: {text[:200] or 'nothing'}")


def _valid(part: Mapping[str, Any]) -> Finding | None:
    text = output_of(part, "verify")
    if "not signed at all" in text:  # which the signer's finding says
        return None
    if "valid on disk" in text and "satisfies its Designated Requirement" in text:
        return MACOS.ok("signature", "valid on disk, and satisfies its requirement (codesign)")
    return MACOS.fail("signature", last_line(text, "codesign said nothing"), SIGN_ANEW)


def _gatekeeper(part: Mapping[str, Any]) -> Finding:
    text = output_of(part, "assess")
    lines = [line.partition(": ")[2] or line for line in text.strip().splitlines()]
    seen = "; ".join(lines[:4])[:1000] or "spctl said nothing"
    if "assessments disabled" in output_of(part, "status"):
        return MACOS.warn("Gatekeeper", f"off on this Mac ({seen})", "sudo spctl --global-enable")
    # The second is said of every valid program that is no app bundle (keybase/client#2706).
    if "accepted" in text or "does not seem to be an app" in text:
        return MACOS.ok("Gatekeeper", seen)
    if QUARANTINE.match(output_of(part, "quarantine").strip()):
        return MACOS.fail("Gatekeeper", f"{seen}, and the file is quarantined", NOTARIZE)
    return MACOS.ok("Gatekeeper", f"{seen}: which counts only for quarantined files, and this is none")


def _quarantine(part: Mapping[str, Any]) -> Finding:
    text = output_of(part, "quarantine").strip()
    if "No such xattr" in text:
        return MACOS.ok("quarantine", "none")
    if not (match := QUARANTINE.match(text)):
        return MACOS.skipped("quarantine", f"not read: {text[:200]!r}")
    agent = match["agent"].replace("\\x20", " ") or "a program without a name"
    seen = f"set by {agent}, flags {match['flags']}"
    if int(match["flags"], 16) & 0x40:
        return MACOS.ok("quarantine", f"{seen}: the user has agreed to run it")
    return MACOS.warn("quarantine", f"{seen}: nobody has agreed yet, so macOS may block its first run", NOTARIZE)


def _sip(part: Mapping[str, Any]) -> Finding:
    text = output_of(part, "sip").strip()
    first = text.partition("\n")[0][:200]
    if not first.startswith("System Integrity Protection status:"):
        return MACOS.skipped("SIP", f"csrutil said nothing that is known: {first!r}")
    if "status: enabled" in first and "Custom" not in text:
        return MACOS.ok("SIP", "enabled: dtrace sees no program of the system's")
    return MACOS.warn("SIP", first, "csrutil enable, from recoveryOS, when the search is over")


JUDGES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Finding | None]]] = {
    "codesign": ("signer", _signer),
    "verify": ("signature", _valid),
    "assess": ("Gatekeeper", _gatekeeper),
    "quarantine": ("quarantine", _quarantine),
    "sip": ("SIP", _sip),
}
"""By the tool's key in the evidence: a finding's name, and who judges."""
