"""A policy: somebody's own rules over the checks, from a TOML file.

A rule loosens or tightens a check, or one problem of it, and gives its reason; a requirement adds checks. A loosened
check is still made and still says FAILED: it is marked, with the reason, and no longer counts. A policy hides nothing,
and makes nothing of a file that could not be read.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from gobuild.binary.macho_types import MachO
from gobuild.binary.view import opened
from gobuild.codesign.superblob import AD_HOC
from gobuild.core.errors import ConfigError
from gobuild.core.model import Check, Problem, Severity, Verdict
from gobuild.verify.checks import CheckId, FileReport

SCHEMA = 1

SUBJECT = "policy: subject"
"""The check that a requirement's subject is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a policy says about checks that gobuild makes anyway."""

    # "imports", "second opinion: nm", "second opinion" for all of them; "imports/wrong-library" for one problem
    check: str = ""
    reason: str = ""
    subject: str = "*"  # a pattern as in fnmatch, in which * also stands for slashes
    severity: Severity | None = None  # what a failure means; None leaves it an error
    skipped: str = ""  # "error" where a check that was skipped has failed

    @property
    def problem(self) -> str:
        """The id of the one problem that the rule is about; empty for all."""
        return self.check.partition("/")[2]

    def speaks_of(self, check: Check) -> bool:
        """Whether the rule is about this check."""
        names = (check.name, check.name.partition(":")[0])
        return (
            self.check.partition("/")[0] in names
            and fnmatchcase(check.subject, self.subject)
            and (not self.problem or self.problem in {each.id for each in check.problems})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a policy asks of every file that it speaks of, besides gobuild's own checks: see `_demand`."""

    reason: str = ""
    subject: str = "*"
    uuid: bool = False
    identity: bool = False
    team: str = ""
    denied_strings: tuple[str, ...] = ()
    denied_install_names: tuple[str, ...] = ()

    def made(self, check: Check) -> bool:
        """Whether the check is one of those that the requirement adds."""
        ours = check.name.startswith("policy: ") and check.reason == self.reason
        return ours and fnmatchcase(check.subject, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy, found usable; its rules are in the file's order, and of several about one check the last decides."""

    rules: tuple[Rule, ...] = ()
    requirements: tuple[Requirement, ...] = ()

    def demands(self, inspected: FileReport) -> Iterator[Check]:
        """The checks that the requirements add for one file; none for a file that could not be read."""
        for requirement in self.requirements:
            if inspected.image and fnmatchcase(inspected.subject, requirement.subject):
                for check in _demand(requirement, inspected):
                    yield replace(check, reason=requirement.reason)

    def judge(self, checks: Sequence[Check]) -> tuple[Check, ...]:
        """Marks the checks that the rules speak of, and tells behind them what of the policy speaks of none."""
        return (*(self._judged(check) for check in checks), *self._idle(checks))

    def _idle(self, checks: Sequence[Check]) -> Iterator[Check]:
        """What a policy says of nothing: what it asks for has failed, what it only allows is told."""
        for rule in self.rules:
            if not any(rule.speaks_of(check) for check in checks):
                yield Check(
                    subject=rule.subject,
                    name=f"policy: {rule.check}",
                    verdict=Verdict.FAILED if rule.skipped else Verdict.SKIPPED,
                    seen="the rule speaks of no check that was made",
                    expected="the check to be made" if rule.skipped else "",
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
        """A failed check is as severe as the worst of its problems, by the order of `Severity`."""
        decided = dict.fromkeys([each.id for each in check.problems] or [""], (check.severity, check.reason))
        for rule in (rule for rule in self.rules if rule.speaks_of(check)):
            if rule.skipped and check.verdict is Verdict.SKIPPED:
                seen = f"skipped: {check.seen}"
                check = replace(check, verdict=Verdict.FAILED, seen=seen, expected="the check to be made")
                decided = {"": (Severity.ERROR, rule.reason)}
            elif check.verdict is Verdict.FAILED:
                ids = [rule.problem] if rule.problem else list(decided)
                decided |= dict.fromkeys(ids, (rule.severity or Severity.ERROR, rule.reason))
        severity, reason = min(decided.values(), key=lambda each: list(Severity).index(each[0]))
        return replace(check, severity=severity, reason=reason)


NONE = Policy()
"""gobuild's own rules and no others."""


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) and word for word in value)


KINDS: Mapping[Any, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    str: ("a text in quotes", lambda value: isinstance(value, str), str.strip),
    bool: ("true or false", lambda value: isinstance(value, bool), bool),
    tuple[str, ...]: ("a list of texts", _is_words, tuple),
    Severity | None: ("one of " + ", ".join(Severity), lambda value: value in list(Severity), Severity),
}
"""By a field's type: what its key holds, in words; whether a value is that; and the field's value."""


def load_policy(path: str) -> Policy:
    """Reads a policy from a TOML file; no path is no policy. ConfigError where it says what no policy can say."""
    if not path:
        return NONE
    try:
        document = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RuntimeError) as error:
        raise ConfigError(f"the policy {path} cannot be read: {error}", "a TOML file with [[rule]] entries") from error
    for key in document.keys() - {"schema", "rule", "require"}:
        raise ConfigError(f"the policy {path}: unknown key {key!r}", _likely(key, ["schema", "rule", "require"]))
    schema = document.get("schema")
    if schema != SCHEMA or type(schema) is not int:
        raise ConfigError(f"the policy {path} has the schema {schema!r}", f"schema = {SCHEMA}")
    rules = _entries(document, "rule", Rule, path)
    requirements = _entries(document, "require", Requirement, path)
    for where, rule in rules.items():
        _usable(rule, where)
    for where, requirement in requirements.items():
        if requirement == Requirement(reason=requirement.reason, subject=requirement.subject):
            raise ConfigError(f"{where} asks for nothing", 'uuid = true, team = "...", denied-strings = [...]')
    return Policy(rules=tuple(rules.values()), requirements=tuple(requirements.values()))


_Entry = TypeVar("_Entry", Rule, Requirement)


def _entries(document: Mapping[str, Any], key: str, kind: type[_Entry], path: str) -> dict[str, _Entry]:
    """The entries of one kind, by where they stand."""
    found = dict[str, _Entry]()
    known = {each.name.replace("_", "-"): each for each in fields(kind)}
    entries = document.get(key, [])
    for index, entry in enumerate(entries if isinstance(entries, list) else [None], 1):
        where, values = f"{path}, {key} {index}", dict[str, Any]()
        if not isinstance(entry, dict):
            raise ConfigError(f"{where} is no table", f"[[{key}]] and keys below it")
        for name, value in entry.items():
            if name not in known:
                raise ConfigError(f"{where}: unknown key {name!r}", _likely(name, known))
            holds, fits, made = KINDS[known[name].type]
            if not fits(value):
                raise ConfigError(f"{where}: {name} is {value!r}", f"{name} holds {holds}")
            values[known[name].name] = made(value)
        if not values.get("reason"):
            raise ConfigError(f"{where} gives no reason", 'reason = "why this may be so", which the reports show')
        found[where] = kind(**values)
    return found


def _likely(word: str, words: Iterable[str]) -> str:
    near = get_close_matches(word, words, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else "one of " + ", ".join(words)


def _usable(rule: Rule, where: str) -> None:
    name = rule.check.partition("/")[0]
    if not CheckId.of(name):
        raise ConfigError(f"{where}: no check is called {name!r}", _likely(name, [str(each) for each in CheckId]))
    if rule.skipped not in ("", "error") or (rule.skipped and rule.problem):
        hint = 'skipped = "error" of a whole check, or leave it out'
        raise ConfigError(f"{where}: skipped is {rule.skipped!r}", hint)
    if rule.severity is None and not rule.skipped:
        raise ConfigError(f"{where} changes nothing", 'severity = "warn", or skipped = "error"')


def _demand(requirement: Requirement, inspected: FileReport) -> list[Check]:
    """One check for each thing that a requirement asks for."""
    report = FileReport(subject=inspected.subject)
    image, signature = inspected.image, inspected.signature

    def demand(of: str, wrong: str, *, seen: str, expected: str) -> None:
        problems = [Problem(f"policy-{of.replace(' ', '-')}", wrong)] if wrong else []
        report.judge(CheckId.POLICY, problems, seen=seen, expected=expected, of=of)

    if not isinstance(image, MachO):
        for of in ("uuid", "identity", "team"):
            if getattr(requirement, of):
                report.skip(CheckId.POLICY, "an ELF file has none", of=of)
    else:
        if requirement.uuid:
            demand("uuid", "" if image.uuid else "none", seen=image.uuid, expected="an LC_UUID")
        if requirement.identity:
            wrong = "no signature" if signature is None else signature.kind if signature.flags & AD_HOC else ""
            demand("identity", wrong, seen=signature.kind if signature else "", expected="signed by an identity")
        if requirement.team:
            team = signature.team if signature else ""
            wrong = "" if team == requirement.team else team or "no team"
            demand("team", wrong, seen=team, expected=f"the team {requirement.team}")
        if patterns := requirement.denied_install_names:
            names = [name for _command, name in image.dylibs]
            denied = ", ".join(name for name in names if any(fnmatchcase(name, each) for each in patterns))
            expected = f"none like {', '.join(patterns)}"
            demand("denied install names", denied, seen=f"none of {len(names)}", expected=expected)
    if strings := requirement.denied_strings:
        with opened(inspected.path) as view:
            there = ", ".join(text for text in strings if view.holds(text.encode()))
        demand("denied strings", there, seen=f"none of {len(strings)}", expected=f"none of {', '.join(strings)}")
    return report.checks
