"""A mailbox of patches, as `git format-patch --stdout` or a mailing list makes it, taken apart into its mails."""

import re

from gobuild.core.errors import PatchError

MOST_MAILS = 10_000

_HEADER = rb"(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n|[ \t]+\S[^\n]*\n)"
_BEGINS = re.compile(
    rb"^From [^\n]*\d:\d\d:\d\d +\d{4}[^\n:]*\n(?=" + _HEADER + rb"{0,50}?(?:From|Date|Subject):)", re.MULTILINE
)
"""The line that begins a mail, and ends in a date (git's builtin/mailsplit.c, is_from_line), with headers behind it."""


def split_mailbox(content: bytes) -> list[bytes]:
    """The mails of a mailbox in their order, every byte of each; of anything else, the one content that it is.

    A mail may have no diff: a cover letter has none.

    Raises:
        PatchError: there are more mails than anybody's series has patches.
    """
    starts: list[int] = []
    for found in _BEGINS.finditer(content):
        starts.append(found.start())
        if len(starts) > MOST_MAILS:
            raise PatchError(f"has more than {MOST_MAILS} mails", "take the mails of the series out of it")
    if starts and not content[: starts[0]].strip():
        del starts[0]  # the first mail begins with the file
    ends = [*starts, len(content)]
    return [content[start:end] for start, end in zip([0, *starts], ends, strict=True)]
