"""Secrets: decides what of an environment, and of all that was collected under it, may be shown to others.

Values are shown of the variables in `SHOWN` and `LOADER` alone. The values of all others are hidden wherever they turn
up in any text (a broken go may print its environment). A secret that is in no variable and in no URL is not known.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gobuild.core.printable import printable

HIDDEN = "***"

SHOWN = frozenset(
    # Go's own, by name: GO* would show GOOGLE_API_KEY as well. GOAUTH, GOCACHEPROG, CC, CXX and AR are commands, whose
    # words may hold a token.
    """
    GO111MODULE GO386 GOAMD64 GOARCH GOARM GOARM64 GOBIN GOCACHE GOCOVERDIR GODEBUG GOENV GOEXE GOEXPERIMENT
    GOFIPS140 GOFLAGS GOGC GOHOSTARCH GOHOSTOS GOINSECURE GOMAXPROCS GOMEMLIMIT GOMODCACHE GONOPROXY GONOSUMDB GOOS
    GOPATH GOPRIVATE GOPROXY GORACE GOROOT GOROOT_FINAL GOSUMDB GOTELEMETRY GOTELEMETRYDIR GOTMPDIR GOTOOLCHAIN
    GOTOOLDIR GOTRACEBACK GOVCS GOVERSION GOWORK CGO_ENABLED
    PATH TMPDIR LANG LC_ALL XDG_CONFIG_HOME XDG_CACHE_HOME NSZombieEnabled __CF_USER_TEXT_ENCODING
    """.split()  # noqa: SIM905  (a table)
)
LOADER = ("DYLD_", "LD_", "METAL_", "MTL_", "Malloc", "MALLOC_", "OBJC_")
"""Variables whose values are shown: by name, and by how those of loader, allocator and graphics stack begin."""

HARMLESS = frozenset(("HOME", "LOGNAME", "OLDPWD", "PWD", "SHELL", "SHLVL", "TERM", "USER", "USERNAME", "_"))
"""Variables whose values are no secret, and too common to be hidden in every text."""

SECRET = re.compile(r"TOKEN|SECRET|KEY|PASS|CRED|AUTH|PRIVATE", re.IGNORECASE)
"""Names whose values are hidden from four characters on; others from eight, or every "true" would be."""

PUBLIC = re.compile(
    r"(go|v)?\d{1,2}\.\d{1,3}(\.\d{1,3})?((rc|beta)\d{1,2})?(-[a-z][\w.]{0,60})?"
    r"|(aix|android|darwin|dragonfly|freebsd|ios|js|linux|netbsd|openbsd|plan9|solaris|wasip1|windows)([/_-]\w{2,10}){0,2}"
    r"|amd64|arm64|x86_64|auto|direct|false|local|none|path|true|version"
)
"""Values that are no secret whatever their names: where GO_VERSION=go1.22.10 is set, a go that says the same must not
look broken."""

OURS = frozenset(("by", "ended", "environment", "place", "variable", "verdict", "why"))
"""Keys of the evidence whose values are the doctor's own words, by which it judges: nothing in them is hidden."""

RULES = (
    (re.compile(r"://[^\s/]*@"), f"://{HIDDEN}@"),
    (re.compile(r"(-X[ =]{0,9}['\"][\w./-]{1,200}=)[^'\"\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(-X[ =]{0,9}[\w./-]{1,200}=)('[^']{0,999}'|\"[^\"]{0,999}\"|\S+)"), rf"\1{HIDDEN}"),
    # The words of the program that GOFLAGS starts every tool through.
    (re.compile(r"(['\"]--?toolexec=[^\s'\"]{1,500}\s)[^'\"\n]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic) [a-z0-9+/._=-]{8,}"), rf"\1 {HIDDEN}"),
    # What follows the question mark of a URL.
    (re.compile(r"(?<!\S)(?=[^\s?]*://)([^\s?]*+)\?\S*"), rf"\1?{HIDDEN}"),
)
"""What is rewritten in every text. Bounded, so that no text makes them slow."""


def shown_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables whose values may be shown."""
    return {name: value for name, value in sorted(environment.items()) if may_show(name)}


def may_show(name: str) -> bool:
    """Whether a variable's value may be shown. One whose name speaks of a secret never is."""
    return name in SHOWN or (name.startswith(LOADER) and not SECRET.search(name))


def secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values, and their single lines, that no text may hold; the longest first, for one may hold another."""
    found = {
        part
        for name, value in environment.items()
        if name not in HARMLESS and not may_show(name) and not _paths(value)
        for part in (value, *value.splitlines())
        if len(part) >= (4 if SECRET.search(name) else 8) and not PUBLIC.fullmatch(part)
    }
    return tuple(sorted(found, key=lambda each: (-len(each), each)))


def _paths(value: str) -> bool:
    """Whether it is a list of folders and files that are there: told all the same, by what is shown of PATH."""
    parts = [part for part in value.split(":") if part]
    return bool(parts) and all(each.startswith("/") and os.path.exists(each) for each in parts)  # noqa: PTH110  (any text)


def redact_all(data: Any, *, hidden: Iterable[str], home: str) -> Any:
    """Plain data with every text of it cleaned; `hidden` is what `secrets` returns. Keys are public."""
    if isinstance(data, str):
        return redact_text(data, hidden=hidden, home=home)
    if isinstance(data, Mapping):
        return {
            printable(str(key)): printable(value)
            if key in OURS and isinstance(value, str)
            else redact_all(value, hidden=hidden, home=home)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [redact_all(each, hidden=hidden, home=home) for each in data]
    return data


def redact_text(words: str, *, hidden: Iterable[str] = (), home: str = "") -> str:
    """One text, cleaned."""
    for each in hidden:
        words = words.replace(each, HIDDEN)
    for pattern, instead in RULES:
        words = pattern.sub(instead, words)
    if len(home) > 1:
        # /root stands inside other paths as well; the name of a person's folder is hidden wherever it is.
        alone = r"(?<![\w.-])" if home.count("/") == 1 else ""
        words = re.sub(rf"{alone}{re.escape(home.rstrip('/'))}(?![\w.-])", "~", words)
    return printable(words, lines=True)
