"""A policy: somebody's own rules over the checks, from a TOML file. Checks come in, checks go out.

A rule loosens or tightens named checks and gives its reason; a requirement adds checks. A loosened check is still
made and still says FAILED: what changes is that it is marked, with the reason, and no longer counts. What a policy
cannot do: it hides nothing, and makes nothing of a file that could not be read.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import opened
from gobuild.codesign.superblob import AD_HOC
from gobuild.core.errors import ConfigError
from gobuild.core.model import Check, Severity, Verdict
from gobuild.verify import checklist
from gobuild.verify.checks import Inspected

SCHEMA = 1
FAMILIES = ("second opinion", "policy")
"""Names that a rule may give whole ("second opinion: nm") or for all of them ("second opinion")."""

SUBJECT = "policy: subject"
"""The check that a requirement's subject is there."""

KEYS: Mapping[str, Mapping[str, type]] = {
    "rule": {"check": str, "subject": str, "severity": str, "skipped": str, "reason": str},
    "require": {
        "subject": str,
        "reason": str,
        "uuid": bool,
        "identity": bool,
        "team": str,
        "denied-strings": list,
        "denied-install-names": list,
    },
}
"""The keys of each kind of entry, and what each holds; a list holds words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a policy says about checks that gobuild makes anyway.

    Attributes:
        check: the check's name, or a family of names.
        subject: a pattern as in fnmatch, in which * also stands for slashes.
        severity: what a failure means.
        strict: whether a check that was skipped has failed.
        reason: why.
    """

    check: str
    subject: str
    severity: Severity
    strict: bool
    reason: str

    def speaks_of(self, check: Check) -> bool:
        """Whether the rule is about this check."""
        family = check.name.split(":", 1)[0]
        return self.check in (check.name, family) and fnmatchcase(check.subject, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a policy asks of every file that it speaks of, besides gobuild's own checks.

    Attributes:
        subject: a pattern, as for a rule.
        reason: why.
        uuid: LC_UUID must be there.
        identity: the signature must be by an identity, not ad hoc.
        team: the team identifier that the signature must name; empty for any.
        strings: texts that must stand nowhere in the file.
        install_names: patterns of install names that must not be loaded.
    """

    subject: str
    reason: str
    uuid: bool
    identity: bool
    team: str
    strings: tuple[str, ...]
    install_names: tuple[str, ...]

    def made(self, check: Check) -> bool:
        """Whether the check is one of those that the requirement adds."""
        return (
            check.name.startswith("policy: ")
            and check.reason == self.reason
            and fnmatchcase(check.subject, self.subject)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy, read and found usable.

    Attributes:
        rules: in the file's order; of several about one check, the last decides.
        requirements: in the file's order.
    """

    rules: tuple[Rule, ...] = ()
    requirements: tuple[Requirement, ...] = ()

    def demands(self, inspected: Inspected) -> Iterator[Check]:
        """The checks that the requirements add for one file; none for a file that could not be read."""
        for requirement in self.requirements:
            if inspected.image and fnmatchcase(inspected.subject, requirement.subject):
                for check in _demand(requirement, inspected):
                    yield replace(check, reason=requirement.reason)

    def judge(self, checks: Sequence[Check]) -> tuple[Check, ...]:
        """Marks the checks that the rules speak of, and tells behind them what of the policy speaks of none.

        Args:
            checks: all that were made, those of `demands` too.
        """
        judged = tuple(self._judged(check) for check in checks)
        return (*judged, *self._idle(checks))

    def _idle(self, checks: Sequence[Check]) -> Iterator[Check]:
        """What a policy says of nothing: what it asks for has failed, what it only allows is told."""
        for rule in self.rules:
            if not any(rule.speaks_of(check) for check in checks):
                yield Check(
                    subject=rule.subject,
                    name=f"policy: {rule.check}",
                    verdict=Verdict.FAILED if rule.strict else Verdict.SKIPPED,
                    seen="the rule speaks of no check that was made",
                    expected="the check to be made" if rule.strict else "",
                    reason=rule.reason,
                )
        for requirement in self.requirements:
            if not any(requirement.made(check) for check in checks):
                yield Check(
                    subject=requirement.subject,
                    name=SUBJECT,
                    verdict=Verdict.FAILED,
                    seen="nothing was asked of any file",
                    expected="a file of this name that can be asked",
                    reason=requirement.reason,
                )

    def _judged(self, check: Check) -> Check:
        for rule in self.rules:
            if not rule.speaks_of(check):
                continue
            if rule.strict and check.verdict is Verdict.SKIPPED:
                seen = f"skipped: {check.seen}"
                check = replace(
                    check, verdict=Verdict.FAILED, seen=seen, expected="the check to be made", reason=rule.reason
                )
            elif check.verdict is Verdict.FAILED:
                check = replace(check, severity=rule.severity, reason=rule.reason)
        return check


NONE = Policy()
"""gobuild's own rules and no others."""


def load(path: str) -> Policy:
    """Reads a policy.

    Args:
        path: a TOML file; empty for no policy.

    Raises:
        ConfigError: it cannot be read, or says what no policy can say.
    """
    if not path:
        return NONE
    try:
        document = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RuntimeError) as error:
        raise ConfigError(f"the policy {path} cannot be read: {error}", "a TOML file with [[rule]] entries") from error
    _known(document, {"schema": int, "rule": list, "require": list}, path)
    if document.get("schema") != SCHEMA:
        raise ConfigError(f"the policy {path} has the schema {document.get('schema')!r}", f"schema = {SCHEMA}")
    rules = tuple(_rule(entry, f"{path}, rule {index}") for index, entry in _entries(document, "rule", path))
    requirements = tuple(
        _requirement(entry, f"{path}, requirement {index}") for index, entry in _entries(document, "require", path)
    )
    return Policy(rules=rules, requirements=requirements)


def _entries(document: Mapping[str, Any], kind: str, path: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, entry in enumerate(document.get(kind, []), 1):
        where = f"{path}, {kind} {index}"
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is no table", f"[[{kind}]] and keys below it")
        _known(entry, KEYS[kind], where)
        if not str(entry.get("reason", "")).strip():
            raise ConfigError(f"{where} gives no reason", 'reason = "why this may be so", which the reports show')
        yield index, entry


def _known(table: Mapping[str, Any], keys: Mapping[str, type], where: str) -> None:
    for key, value in table.items():
        if key not in keys:
            near = get_close_matches(key, keys, 1)
            raise ConfigError(
                f"{where}: unknown key {key!r}", f"did you mean {near[0]!r}?" if near else ", ".join(keys)
            )
        words = isinstance(value, list) and all(isinstance(word, str) and word for word in value)
        if type(value) is not keys[key] or (keys[key] is list and key.startswith("denied") and not words):
            raise ConfigError(f"{where}: {key} is {value!r}", f"{key} holds {_KINDS[keys[key]]}")


_KINDS = {str: "a text in quotes", bool: "true or false", int: "a number", list: "a list of texts"}


def _rule(entry: Mapping[str, Any], where: str) -> Rule:
    name = entry.get("check", "")
    if not checklist.of(name):
        near = checklist.nearest(name)
        hint = f"did you mean {near!r}?" if near else "one of " + ", ".join(checklist.CHECKS)
        raise ConfigError(f"{where}: no check is called {name!r}", hint)
    severity, skipped = entry.get("severity", "error"), entry.get("skipped", "")
    if severity not in list(Severity):
        raise ConfigError(f"{where}: severity {severity!r}", "one of " + ", ".join(Severity))
    if skipped not in ("", "error"):
        raise ConfigError(f"{where}: skipped is {skipped!r}", 'skipped = "error", or leave it out')
    if "severity" not in entry and not skipped:
        raise ConfigError(f"{where} changes nothing", 'severity = "warn", or skipped = "error"')
    return Rule(
        check=name,
        subject=entry.get("subject", "*"),
        severity=Severity(severity),
        strict=bool(skipped),
        reason=entry["reason"].strip(),
    )


def _requirement(entry: Mapping[str, Any], where: str) -> Requirement:
    found = Requirement(
        subject=entry.get("subject", "*"),
        reason=entry["reason"].strip(),
        uuid=entry.get("uuid", False),
        identity=entry.get("identity", False),
        team=entry.get("team", ""),
        strings=tuple(entry.get("denied-strings", ())),
        install_names=tuple(entry.get("denied-install-names", ())),
    )
    if not (found.uuid or found.identity or found.team or found.strings or found.install_names):
        raise ConfigError(f"{where} asks for nothing", 'uuid = true, team = "...", denied-strings = [...]')
    return found


def _demand(requirement: Requirement, inspected: Inspected) -> Iterator[Check]:
    """One check for each thing that a requirement asks for."""

    def check(name: str, wrong: str, *, seen: str, expected: str) -> Check:
        verdict = Verdict.FAILED if wrong else Verdict.OK
        return Check(
            subject=inspected.subject,
            name=f"policy: {name}",
            verdict=verdict,
            seen=wrong or seen,
            expected=expected if wrong else "",
        )

    image = inspected.image
    if not isinstance(image, MachO):
        asked = {"uuid": requirement.uuid, "identity": requirement.identity, "team": requirement.team}
        for name in (name for name, wanted in asked.items() if wanted):
            skipped = check(name, "", seen="an ELF file has none", expected="")
            yield replace(skipped, verdict=Verdict.SKIPPED)
    else:
        signature = inspected.signature
        if requirement.uuid:
            yield check("uuid", "" if image.uuid else "none", seen=image.uuid, expected="an LC_UUID")
        if requirement.identity:
            wrong = "no signature" if signature is None else signature.kind if signature.flags & AD_HOC else ""
            yield check("identity", wrong, seen=signature.kind if signature else "", expected="signed by an identity")
        if requirement.team:
            team = signature.team if signature else ""
            wrong = "" if team == requirement.team else team or "no team"
            yield check("team", wrong, seen=team, expected=f"the team {requirement.team}")
        if requirement.install_names:
            names = [name for _command, name in image.dylibs]
            denied = [name for name in names if any(fnmatchcase(name, each) for each in requirement.install_names)]
            expected = f"none like {', '.join(requirement.install_names)}"
            yield check("denied install names", ", ".join(denied), seen=f"none of {len(names)}", expected=expected)
    if requirement.strings:
        with opened(inspected.path) as view:
            there = [text for text in requirement.strings if view.holds(text.encode())]
        expected = f"none of {', '.join(requirement.strings)}"
        yield check("denied strings", ", ".join(there), seen=f"none of {len(requirement.strings)}", expected=expected)
