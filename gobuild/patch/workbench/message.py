"""A patch's prose and a commit's message, each made from the other; and the heading of a .patch file.

The trailer that carries a patch's name through every rebase is added and taken off here.
"""

import email
import re
import unicodedata
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parseaddr, parsedate_to_datetime

NAME_TRAILER = "Gobuild-Patch"
"""Which patch a commit is. A trailer survives amend, reword, rebase and cherry-pick; git notes do not."""

KIND_TRAILER = "Gobuild-Kind"
"""For a commit that a structural edit made, "edit": it is the result of an entry in series.toml, not of a file."""

AUTHOR = ("The gobuild authors", "gobuild@example.invalid")
"""Who wrote a patch that names nobody."""

DATE = "315532800 +0000"
"""When, where it does not tell: 1980-01-01, as for a source without a time (gobuild.patch.version.EARLIEST)."""

NAMELESS = "patch"
"""The name made from a subject without a letter or digit of ASCII."""

_TRAILER = re.compile(rf"^({NAME_TRAILER}|{KIND_TRAILER}):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*:|[ \t]+\S")
_MBOX = re.compile(r"\AFrom +[0-9a-f]{7,64} [^\n]*\n")
_WORD = r"=\?[^?\s]+\?[bqBQ]\?[^?]*\?="
_WORDS = re.compile(rf"{_WORD}(?:\s+{_WORD})*")
_TAG = re.compile(r"^(?:\[[^\]]*\bPATCH\b[^\]]*\]\s*)+")
_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"
"""What git strips from both ends of a name (ident.c, strbuf_addstr_without_crud)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchMessage:
    """What a patch says besides its diff, or a commit."""

    author: str = AUTHOR[0]
    email: str = AUTHOR[1]
    date: str = ""  # the Date line as it stands in a patch file
    subject: str
    body: str = ""
    names: tuple[str, ...] = ()  # of a commit: the patches it is, by its trailers; several after a squash
    kind: str = ""  # of a commit: "edit" for what a structural edit made

    @property
    def kept(self) -> tuple[str, str, str, str]:
        """All that a commit keeps of it: two messages with the same are the same."""
        return self.author, self.email, self.subject, clean_up(self.body)

    @property
    def git_date(self) -> str:
        """The date as git takes it, "SECONDS +ZONE"; `DATE` where there is none that git can hold."""
        try:
            moment = parsedate_to_datetime(self.date)
        except ValueError:
            return DATE
        seconds = int(moment.timestamp())
        return f"{seconds} {moment.strftime('%z') or '+0000'}" if seconds >= 0 else DATE


def clean_up(text: str) -> str:
    """A text as git's own clean-up leaves it (git-commit(1), --cleanup=whitespace)."""
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def parse_prose(prose: str, name: str) -> PatchMessage:
    """Reads what stands in front of a diff: mail headers and a message, or just words, or nothing but the name."""
    text = _MBOX.sub("", prose.strip("\n"), count=1)
    # format-patch's "---" ends the message; the diffstat behind it is made anew.
    at = f"\n{text}\n".rfind("\n---\n")
    text = (text if at < 0 else text[: max(at - 1, 0)]).strip("\n")
    head, _, rest = text.partition("\n\n")
    lines = head.split("\n")
    if not any(line.startswith("Subject:") for line in lines) or not all(_HEADER.match(line) for line in lines):
        subject, _, body = text.partition("\n")
        return PatchMessage(subject=subject.strip() or name, body=clean_up(body))
    mail = email.message_from_string(head)
    who, address = (part.strip(_CRUD) for part in parseaddr(_unfolded(mail["From"])))
    author = decode_words(who).strip(_CRUD)
    return PatchMessage(
        author=author or address or AUTHOR[0],
        email=address or AUTHOR[1],
        date=_unfolded(mail["Date"]),
        subject=_TAG.sub("", " ".join(decode_words(_unfolded(mail["Subject"])).split())) or name,
        body=clean_up(rest),
    )


def _unfolded(header: str | None) -> str:
    """A header's words in one line."""
    return " ".join((header or "").split())


def decode_words(text: str) -> str:
    """A header with its encoded words as what they say (RFC 2047): between two of them, no blank is meant.

    Python's own policies differ there, from one of its versions to the next, where a name is folded.
    """
    return _WORDS.sub(lambda found: _decoded(found[0]), text)


def _decoded(words: str) -> str:
    try:
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii", errors="replace")
            for part, charset in decode_header(words)
        )
    except (LookupError, ValueError, HeaderParseError):  # a charset that nobody knows, a word that is no base 64
        return words


def commit_message(said: PatchMessage, name: str, kind: str) -> str:
    """A commit's message, its trailers at the end; without a name it has none."""
    trailers = f"{NAME_TRAILER}: {name}\n" * bool(name) + f"{KIND_TRAILER}: {kind}\n" * (kind == "edit")
    return "\n\n".join(part for part in (said.subject, said.body, trailers) if part)


def parse_commit_message(text: str, *, author: str, email: str) -> PatchMessage:
    """Reads a commit's message, our trailers taken off."""
    trailers = _TRAILER.findall(text)
    subject, _, body = clean_up(_TRAILER.sub("", text)).partition("\n")
    return PatchMessage(
        author=author.strip(_CRUD),
        email=email,
        subject=subject.strip(),
        body=clean_up(body),
        names=tuple(dict.fromkeys(value for key, value in trailers if key == NAME_TRAILER)),
        kind=dict(trailers).get(KIND_TRAILER, ""),
    )


def patch_heading(said: PatchMessage, stat: str) -> str:
    """What the canonical form has in front of the diff: git format-patch's, less what changes from run to run.

    Left out: the commit, which is another in every clone; the date, unless the file had one; git's version.
    """
    who = f'"{said.author}"' if re.search(r'[(),:;<>@\[\]"\\]', said.author) else said.author
    date = f"Date: {said.date}\n" if said.date else ""
    body = f"{said.body}\n" if said.body else ""
    return f"From: {who} <{said.email}>\n{date}Subject: [PATCH] {said.subject}\n\n{body}---\n{stat}\n"


def name_from_subject(subject: str) -> str:
    """A patch's name made from a subject: "cmd/go: say it, twice" is "cmd-go-say-it-twice"."""
    plain = unicodedata.normalize("NFKD", subject).encode("ascii", "ignore").decode().lower()
    name = ""
    for word in re.findall(r"[a-z0-9]+", plain):
        if name and len(name) + len(word) >= 48:
            break
        name += ("-" if name else "") + word[:48]
    return name or NAMELESS
