"""What Homebrew demands of a formula in a tap: a formula that was read comes in, a check for each rule goes out.

The rules are those of `brew readall`, `style` and `audit --strict` (Homebrew 6.0) that a formula of gobuild's shape
could break; each names the file of Homebrew's that has it. It runs nothing and reaches for nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gobuild.core.model import TARGETS, Check, Verdict
from gobuild.core.settings import NAME
from gobuild.publish.homebrew import order, read
from gobuild.publish.homebrew.bottle import MACS
from gobuild.publish.homebrew.choice import Serves
from gobuild.publish.homebrew.formula import CPUS, class_name
from gobuild.publish.homebrew.read import Formula, Unreadable

ORDER = [
    *("desc", "homepage", "url", "mirror", "version", "sha256", "license", "revision", "version_scheme"),
    *("livecheck", "bottle", "keg_only", "depends_on", "on_macos", "on_linux", "conflicts_with", "link_overwrite"),
    *("install", "caveats", "test"),
]
"""The order of the stanzas (ast_constants.rb); a word that is not here has no place in a formula of this shape."""

IN_SYSTEM = ("depends_on", "on_arm", "on_intel")
"""What may stand directly in `on_macos` and `on_linux` (rubocops/components_order.rb): no url of their own."""

HEAD = ("# typed: strict", "# frozen_string_literal: true")

LONGEST = 80
"""Characters that `desc` and the formula's name may have together (rubocops/shared/desc_helper.rb)."""

_TAGS = {f"{cpu}{word}" for word in MACS.values() for cpu in ("", "arm64_")} | {"arm64_linux", "x86_64_linux"}

Rule = Callable[[str, Formula], str]
"""A formula's name and what was read of it, to what is wrong: "" for nothing."""


def _name(name: str, formula: Formula) -> str:
    base, at, line = name.partition("@")
    if not NAME.fullmatch(base) or base == "go" or (at and not re.fullmatch(r"[0-9]+(\.[0-9]+)*", line)):
        return f"{name} is no name that brew would find"
    wanted = class_name(name)
    return "" if formula.class_name == wanted else f"the class is {formula.class_name}, and brew looks for {wanted}"


def _head(_name: str, formula: Formula) -> str:
    return "" if formula.head[: len(HEAD)] == HEAD else f"the first lines are not {' and '.join(HEAD)}"


def _stanzas(_name: str, formula: Formula) -> str:
    words = [each.word for each in formula.top()]
    unknown = [word for word in words if word not in ORDER]
    if unknown:
        return f"{', '.join(unknown)}: not understood"
    double = {word for word in words if words.count(word) > 1 and word not in ("depends_on", "mirror")}
    if double:
        return f"{', '.join(sorted(double))} stands there twice"
    if words != sorted(words, key=ORDER.index):
        return f"not in brew's order: {', '.join(words)}"
    lacking = [word for word in ("desc", "homepage", "url", "license", "install", "test") if word not in words]
    return f"without {', '.join(lacking)}" if lacking else ""


def _systems(_name: str, formula: Formula) -> str:
    wrong = [
        f"line {each.line}: {each.word} in {each.within[0]}"
        for each in formula.stanzas
        if each.within in (("on_macos",), ("on_linux",)) and each.word not in IN_SYSTEM
    ]
    return "; ".join(wrong)


def _platforms(_name: str, formula: Formula) -> str:
    wrong = []
    open_to = 0
    for target in TARGETS:
        seen = formula.on(target)
        if not seen.url or not re.fullmatch("[0-9a-f]{64}", seen.sha256):
            wrong.append(f"{target} has no url with a SHA-256: brew would refuse the whole tap")
        elif not seen.refused:
            open_to += 1
            if f"{target.dashed}." not in seen.url:
                wrong.append(f"{target} would get {seen.url}")
    return "; ".join(wrong) or ("" if open_to else "no platform may install it")


def _version(name: str, formula: Formula) -> str:
    version = formula.text("version")
    line = name.partition("@")[2]
    if not re.match("[0-9]", version):
        return "it writes down no version, and brew would read one out of the file's name"
    if line and not re.match(rf"{re.escape(line)}(\D|$)", version):
        return f"{version} is not of the line {line}"
    if not line and re.match(r"[0-9.]+(rc|beta)", version):
        return f"{version} is no release, and brew would take it for newer than its release"
    urls = {formula.on(target).url for target in TARGETS}
    return "; ".join(f"{url} is not of {version}" for url in sorted(urls) if f"go{version}." not in url)


def _desc(name: str, formula: Formula) -> str:
    desc = formula.text("desc")
    plain = r"[\s-]?".join(re.escape(letter) for letter in name.replace("-", ""))
    if len(f"{name}: {desc}") > LONGEST:
        return f"{len(f'{name}: {desc}')} characters with the name, and {LONGEST} are allowed"
    if re.match(rf"((the|an?)\s|{plain}\b)", desc, re.IGNORECASE) or re.match(r"[a-z\s]", desc) or desc[-1:] in " .":
        return f"{desc!r} begins with an article, a small letter or the name, or ends with a full stop"
    return ""


def _keg_only(name: str, formula: Formula) -> str:
    reason = next((each.rest for each in formula.top() if each.word == "keg_only"), "")
    if "@" not in name:
        return ""
    if reason == ":versioned_formula":
        return "for :versioned_formula brew loads the unversioned formula too, which an untrusted tap keeps from it"
    if not read.STRING.fullmatch(reason) or any(each.word == "conflicts_with" for each in formula.top()):
        return "a versioned formula is keg_only for a reason in words, and conflicts with nothing"
    return ""


def _urls(_name: str, formula: Formula) -> str:
    urls = [each.text for each in formula.stanzas if each.word in ("url", "root_url") and not each.rest.startswith(":")]
    urls.append(formula.text("homepage"))
    return "; ".join(f"{url} is no plain URL" for url in urls if not re.fullmatch(r"(https?|file)://[!-~]+", url))


def _bottles(_name: str, formula: Formula) -> str:
    bottles = formula.bottles()
    if not bottles:
        return ""
    if not formula.root_url():
        return "the bottles have no root_url"
    unknown = sorted(bottles.keys() - _TAGS)
    tags = list(bottles)
    macs = [tag for tag in tags if not tag.endswith("_linux")]
    ordered = sorted(macs, key=lambda tag: not tag.startswith("arm64_")) + sorted(set(tags) - set(macs))
    if unknown or tags != ordered:
        return f"no tag of Homebrew's: {', '.join(unknown)}" if unknown else f"not in brew's order: {', '.join(tags)}"
    closed = [
        target for target in TARGETS if formula.on(target).refused and _bottle_for(target.goos, target.goarch, tags)
    ]
    return "; ".join(f"a bottle for {target}, which may not install it" for target in closed)


def _bottle_for(goos: str, goarch: str, tags: list[str]) -> bool:
    cpu = CPUS["arm" if goarch == "arm64" else "intel"]
    if goos == "linux":
        return f"{cpu}_linux" in tags
    return any(tag.startswith("arm64_") == (cpu == "arm64") for tag in tags if not tag.endswith("_linux"))


RULES: dict[str, tuple[Rule, str]] = {
    "name and class": (_name, "formulary.rb, class_s"),
    "first lines": (_head, "brew style"),
    "stanzas": (_stanzas, "ast_constants.rb"),
    "blocks": (_systems, "rubocops/components_order.rb"),
    "platforms": (_platforms, "readall.rb"),
    "version": (_version, "version.rb"),
    "desc": (_desc, "rubocops/shared/desc_helper.rb"),
    "keg_only": (_keg_only, "formula_installer.rb"),
    "URLs": (_urls, "resource_auditor.rb"),
    "bottles": (_bottles, "rubocops/bottle.rb"),
}
"""What is checked of each formula, and where Homebrew has it from."""


def checks(path: str, formula: Formula) -> Iterator[Check]:
    """Every rule's verdict on one formula."""
    name = path.rpartition("/")[2].removesuffix(".rb")
    for rule, (wrong, source) in RULES.items():
        try:
            found = wrong(name, formula)
        except Unreadable as error:
            found = str(error)
        verdict = Verdict.FAILED if found else Verdict.OK
        yield Check(
            subject=path, name=rule, verdict=verdict, seen=found or "as brew wants it", expected=_of(source, found)
        )


def _of(source: str, found: str) -> str:
    return f"as {source} has it" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """A formula NAME that is older than one of its NAME@LINE.

    Attributes:
        text: which, and how far.
        held: the platforms that the newer one does not serve; "" where nothing holds NAME back.
    """

    text: str
    held: str


def newest(formulae: Mapping[str, Serves]) -> Behind | None:
    """Whether NAME is the newest of its versioned formulae.

    brew's audit asks for an alias where it is not (formula_auditor.rb, audit_file).

    Args:
        formulae: the formulae of a tap, and what they install.
    """
    for name, serving in formulae.items():
        beside = [other for each, other in formulae.items() if "@" not in name and each.startswith(f"{name}@")]
        if beside:
            best = max(beside, key=lambda each: order.key(each.version))
            if order.compare(serving.version, best.version) < 0:
                lost = sorted(map(str, serving.targets - best.targets))
                return Behind(text=f"{name} is {serving.version}, and there is {best.version}", held=", ".join(lost))
    return None
