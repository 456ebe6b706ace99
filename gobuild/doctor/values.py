"""Values of Go's own settings that the go command refuses, of most of them late, in the middle of a build.

Each rule is what cmd/go does with the variable; tests/doctor/test_values.py asks real ones.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gobuild.core.goversion import RECORDS_CHECKED, checks_records
from gobuild.doctor.model import ENVIRONMENT, Finding
from gobuild.doctor.switching import parse_version, read_text

NAMES = ("GO111MODULE", "GOARCH", "GOBIN", "GOCACHE", "GOOS", "GOPROXY", "GOSUMDB", "GOTMPDIR", "GOWORK")

_KEY = re.compile(r"[^+\s]{1,300}\+[0-9a-fA-F]{8}\+[A-Za-z0-9+/]{20,}={0,2}")
_KNOWN_DATABASES = ("sum.golang.org", "sum.golang.google.cn")


def read_values(heard: Mapping[str, str], *, root: Path) -> dict[str, Any]:
    """What of `NAMES` the environment or ``go env -w`` sets; which of it names what is not there."""
    values = {name: heard[name] for name in NAMES if heard.get(name)}
    # What the toolchain's own source says that it compiles for.
    pairs = re.findall(r'\{"(\w{1,20})", "(\w{1,20})"\}', read_text(root / "src/internal/platform/zosarch.go"))
    return {
        "set": values,
        "gone": [name for name in ("GOTMPDIR", "GOWORK") if not os.path.exists(values.get(name, "/"))],  # noqa: PTH110  (a name may be too long)
        "GOOS": sorted({goos for goos, _ in pairs}),
        "GOARCH": sorted({goarch for _, goarch in pairs}),
    }


def judge_values(part: Mapping[str, Any], *, stamp: str, patches: list[str]) -> Iterator[Finding]:
    """Says which values go refuses; `stamp` is "" where go was not asked, `patches` are those in its gobuild.json."""
    values = part["set"]
    wrong = {name: said for name, value in values.items() if (said := _refusal(name, value, part))}
    for name, said in wrong.items():
        seen, advice = f"{values[name]!r}: {said}", f"unset {name} (go env -u {name}), or correct it"
        yield ENVIRONMENT.fail(f"value of {name}", seen, advice)
    implied = [each for each in _proxies(values.get("GOPROXY", "")) if "://" not in each and re.search("[.:]", each)]
    if implied and "GOPROXY" not in wrong:
        seen = f"{implied[0]} has no scheme, and go asks https://{implied[0]}"
        yield ENVIRONMENT.warn("value of GOPROXY", seen, "write the whole address: http:// or https://")
    elif not wrong:
        seen = ", ".join(values) + ": nothing that go refuses" if values else f"none set of {', '.join(NAMES)}"
        yield ENVIRONMENT.ok("other settings", seen)
    if "GOSUMDB" not in wrong:
        yield from _judge_database(values.get("GOSUMDB", ""), stamp, patches)


def _refusal(name: str, value: str, part: Mapping[str, Any]) -> str:
    """Why go refuses a value; "" where it does not."""
    relative, gone, known = not value.startswith("/"), name in part["gone"], part.get(name, ())
    bad = [each for each in _proxies(value) if not re.match(r"(https?|file)://", each) and not _implied(each)]
    other = bool(known) and value not in known, f"this toolchain compiles for {', '.join(known)}"
    rules = {
        "GO111MODULE": (value not in ("on", "off", "auto"), "go knows on, off and auto, and refuses every other word"),
        "GOBIN": (relative, "go install needs an absolute path"),
        "GOCACHE": (relative, "the build cache needs an absolute path, and no build goes on without one"),
        "GOPROXY": (bool(bad), f"an address needs https://, http:// or file://, and {' '.join(bad[:1])} has none"),
        "GOSUMDB": (not _names_database(value), "neither off, nor a database that go knows, nor NAME+HASH+KEY"),
        "GOTMPDIR": (gone, "no such folder, and go makes none: no build goes on"),
        "GOWORK": (value not in ("off", "auto") and (relative or gone), "neither off, nor the whole path of a file"),
    }
    wrong, said = rules.get(name, other)
    return said if wrong else ""


def _proxies(value: str) -> list[str]:
    words = (each.strip() for each in re.split(r"[,|]", value))
    return [each for each in words if each not in ("", "off", "direct", "noproxy")]


def _implied(word: str) -> bool:
    """Whether go puts https:// in front of a word by itself (cmd/go/internal/modfetch, proxyList)."""
    return bool(re.search("[.:/]", word)) and ":/" not in word and not word.startswith("/")


def _names_database(value: str) -> bool:
    first, *more = value.split() or [""]
    return len(more) < 2 and (first in ("off", *_KNOWN_DATABASES) or bool(_KEY.fullmatch(first)))


def _judge_database(value: str, stamp: str, patches: list[str]) -> Iterator[Finding]:
    """A database of somebody's own, and a go command that believes any record that it signed."""
    if not value or value.split(maxsplit=1)[0] in ("off", *_KNOWN_DATABASES):
        return
    version = parse_version(stamp)
    if version and (checks_records(version) or "sumdb-check" in patches):
        yield ENVIRONMENT.ok("GOSUMDB", f"a database of your own, and {stamp} checks whose record it is given")
    elif version:
        yield ENVIRONMENT.warn(
            "GOSUMDB",
            f"a database of your own, and {stamp} believes any record that it signed, another module's too: whoever "
            "controls the proxy can hand out other bytes (golang/go#79070, CVE-2026-42501)",
            f"a go from {RECORDS_CHECKED} on, or one built with --extra sumdb-check; until then hold what you "
            "download against the release's signed SHA256SUMS",
        )
