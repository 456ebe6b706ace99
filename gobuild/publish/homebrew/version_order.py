"""Which of two versions Homebrew takes for the newer one: `brew upgrade` offers that one and no other.

It is Homebrew's `Version#<=>` (Library/Homebrew/version.rb, 6.0) for the versions that stamps have, which begin with
digits; not semver's, and not `GoVersion`'s: 1.27rc1 stands above 1.27.0 in it, so no candidate is in a tap.
"""

import re

_KINDS = (
    ("alpha", r"alpha[0-9]*|a[0-9]+"),
    ("beta", r"beta[0-9]*|b[0-9]+"),
    ("pre", r"pre[0-9]*"),
    ("rc", r"rc[0-9]*"),
    ("patch", r"p[0-9]*"),
    ("post", r".post[0-9]+"),
    ("number", r"[0-9]+"),
    ("word", r"[a-z]+"),
)
"""Homebrew's tokens, tried in this order at each place; what is none of them only separates."""

_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS), re.IGNORECASE)
_BEFORE_NOTHING = ("alpha", "beta", "pre", "rc")
_RANK = {"alpha": 0, "beta": 1, "pre": 2, "rc": 3, "patch": 4, "post": 4}

_Token = tuple[str, str]
_NOTHING: _Token = ("nothing", "")


def _tokens(version: str) -> list[_Token]:
    return [(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(version)]


def _sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)


def _number(text: str) -> int:
    digits = re.search("[0-9]+", text)
    return int(digits[0]) if digits else 0


def _against_nothing(token: _Token) -> int:
    kind, text = token
    if kind == "nothing" or (kind == "number" and int(text) == 0):
        return 0
    return -1 if kind in _BEFORE_NOTHING else 1


def _compare_tokens(left: _Token, right: _Token) -> int:
    (kind, text), (other, other_text) = left, right
    if "nothing" in (kind, other):
        return _against_nothing(left) if other == "nothing" else -_against_nothing(right)
    if kind == other != "word":
        return _sign(_number(text) - _number(other_text))
    if "number" in (kind, other):
        return 1 if kind == "number" else -1
    if kind in _RANK and other in _RANK and _RANK[kind] != _RANK[other]:
        return _sign(_RANK[kind] - _RANK[other])
    return (text > other_text) - (text < other_text)


def compare_versions(left: str, right: str) -> int:
    """Compares two versions as Homebrew does: 1 where `left` is newer, -1 where it is older, 0 where neither is."""
    ours, theirs = _tokens(left), _tokens(right)
    longest = max(len(ours), len(theirs))
    ours += [_NOTHING] * longest
    theirs += [_NOTHING] * longest
    i = j = 0
    while i < longest:
        one, other = ours[i], theirs[j]
        order = _compare_tokens(one, other)
        if order == 0:
            i, j = i + 1, j + 1
        elif one[0] == "number" and other[0] != "number":
            if _against_nothing(one) > 0:
                return 1
            i += 1
        elif one[0] != "number" and other[0] == "number":
            if _against_nothing(other) > 0:
                return -1
            j += 1
        else:
            return order
    return 0
