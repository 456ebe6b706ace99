"""Patches as others hand them out: folders, mailboxes and single files, taken apart into one patch each."""

import email
import email.policy
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gobuild.core.errors import PatchError
from gobuild.patch import quilt
from gobuild.patch.diff.mailbox import split_mailbox
from gobuild.patch.safe_read import safe_read
from gobuild.patch.series import MANIFEST

LARGEST = 64 << 20
"""Bytes of a file that is looked at."""

MOST_HUNKS, MOST_LINES = 10_000, 200_000
"""Of a patch that is looked at; the largest of eleven distributors' has 245 and 12,350."""

_HINT = "a folder of *.patch files, a mailbox, or a .patch file"
_DIFF = re.compile(rb"^(?:diff |--- |\+\+\+ |\*\*\* |@@ |Index: |\d+(?:,\d+)?[acd]\d*(?:,\d+)?\r?$)", re.MULTILINE)
"""What a line of any diff begins with, be it unified, of context, or for ed."""
_ENCODED = re.compile(rb"^Content-(?:Transfer-Encoding:\s*(?:base64|quoted)|Type:\s*multipart)", re.I | re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One patch as it came.

    Attributes:
        label: its file's name, and the number of its mail where that is one of several.
        stem: the file's name without its ending, of which a patch without a subject gets its name.
        strip: patch(1)'s -p, where a quilt series says it.
        forms: how it was wrapped, a few words each.
        refused: why it may not be taken as it stands; "" where nothing speaks against it.
    """

    label: str
    stem: str
    content: bytes
    strip: int | None = None
    forms: tuple[str, ...] = ()
    refused: str = ""

    @property
    def sha256(self) -> str:
        """A digest of all that decides what becomes of it."""
        return hashlib.sha256(f"{self.strip} {self.refused}\n".encode() + self.content).hexdigest()

    @property
    def only_words(self) -> bool:
        """Whether there is nothing in it that a diff begins with: a cover letter, a reply."""
        return not _DIFF.search(self.content)

    def require_readable(self) -> None:
        """Refuses what a list turns round or guards, and what nobody would make by hand, before any time is spent."""
        if self.refused:
            raise PatchError(self.refused, "take it out of the list, or turn it round by hand")
        if self.content.count(b"\n@@ ") > MOST_HUNKS or self.content.count(b"\n") > MOST_LINES:
            raise PatchError(f"has more than {MOST_HUNKS} hunks or {MOST_LINES} lines", "take the patch apart")


def incoming(places: Sequence[Path]) -> list[Incoming]:
    """The patches of folders, mailboxes and files, in their order.

    Raises:
        PatchError: one of these holds no patch, or cannot be read.
    """
    found = []
    for place in places:
        if not place.exists():
            raise PatchError(f"there is nothing at {place}", _HINT)
        here = list(_of_folder(place) if place.is_dir() else _of_file(place.parent, place.name))
        if not here:
            raise PatchError(f"{place} has no patch", _HINT)
        found += here
    return found


def _of_folder(folder: Path) -> Iterator[Incoming]:
    """The patches that quilt's file names; or all *.patch and *.diff, in the order of their names."""
    if (folder / MANIFEST).exists():
        raise PatchError(f"{folder} is a series of gobuild's own already", f"--series {folder}, without adopting it")
    if (folder / quilt.SERIES).is_file():
        for line in safe_read(folder, quilt.SERIES).decode(errors="replace").splitlines():
            words = re.sub(r"(^|\s)#.*", "", line).split()
            if words:
                yield from _of_line(folder, words)
        return
    for name in quilt.patch_files(folder):
        yield from _of_file(folder, name)


def _of_line(folder: Path, words: Sequence[str]) -> Iterator[Incoming]:
    """The patch of a line of quilt's file."""
    name, *options = words
    strip, refused = 1, ""
    for option in options:
        if match := re.fullmatch(r"-p(\d)", option):
            strip = int(match[1])
        else:
            refused = f"has the option {option!r} in quilt's list"
    if name[0] in "+-":
        yield Incoming(label=" ".join(words), stem=name, content=b"", refused=f"has the guard {name!r} in quilt's list")
    else:
        yield from (replace(one, strip=strip, refused=refused) for one in _of_file(folder, name))


def _of_file(folder: Path, name: str) -> Iterator[Incoming]:
    """The patch of a file, or one for each mail of a mailbox; what cannot be read is one that is refused."""
    path = folder / name
    stem = re.sub(r"\.(?:patch|diff|mbox|eml)$", "", path.name)
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > LARGEST):
            raise PatchError(f"is no plain file of at most {LARGEST >> 20} MiB", _HINT)
        mails = split_mailbox(safe_read(folder, name))
    except PatchError as error:
        yield Incoming(label=path.name, stem=stem, content=b"", refused=error.reason)
        return
    if len(mails) == 1:
        plain, forms = _decoded(mails[0])
        yield Incoming(label=path.name, stem=stem, content=plain, forms=forms)
        return
    for number, mail in enumerate(mails, 1):
        plain, forms = _decoded(mail)
        forms = (f"{len(mails)} mails in one file", *forms)
        yield Incoming(label=f"{path.name}, mail {number}", stem=f"{stem}-{number}", content=plain, forms=forms)


def _decoded(mail: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A mail as git format-patch would have written it, where a mail program has encoded its body or wrapped it.

    Everything else stays as it is, every byte.
    """
    head = mail.partition(b"\n\n")[0]
    if not re.search(
        rb"^(?:Content-Transfer-Encoding:\s*(?:base64|quoted-p)|Content-Type:\s*multi)", head, re.I | re.M
    ):
        return mail, ()
    parsed = email.message_from_bytes(mail, policy=email.policy.compat32)
    texts = []
    for part in parsed.walk():
        if part.get_content_maintype() == "text" or part.get_content_type() in ("text/x-patch", "text/x-diff"):
            payload = part.get_payload(decode=True)
            charset = part.get_content_charset("utf-8")
            if isinstance(payload, bytes):
                try:
                    texts.append(payload.decode(charset).replace("\r\n", "\n"))
                except (LookupError, UnicodeDecodeError):
                    return mail, ()
    kept = [f"{name}: {' '.join(str(parsed[name]).split())}\n" for name in ("From", "Date", "Subject") if parsed[name]]
    return ("".join(kept) + "\n" + "\n".join(texts)).encode(errors="replace"), ("mail decoded",)
