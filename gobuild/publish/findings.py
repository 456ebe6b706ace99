"""The verdicts on what is published, in one line each."""

from gobuild.core.model import Check, Verdict


def passed(subject: str, name: str, seen: str) -> Check:
    """What is as it should be."""
    return Check(subject=subject, name=name, verdict=Verdict.OK, seen=seen)


def failed(subject: str, name: str, seen: str, expected: str = "") -> Check:
    """What is not."""
    return Check(subject=subject, name=name, verdict=Verdict.FAILED, seen=seen, expected=expected)


def skipped(subject: str, name: str, why: str) -> Check:
    """What could not be checked."""
    return Check(subject=subject, name=name, verdict=Verdict.SKIPPED, seen=why)


def judged(subject: str, name: str, right: bool, seen: str, wrong: str) -> Check:
    """Passes with `seen` or fails with `wrong`."""
    return passed(subject, name, seen) if right else failed(subject, name, wrong)
