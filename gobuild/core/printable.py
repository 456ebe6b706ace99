"""Text from files we do not trust, made harmless.

It may hold escape sequences for a terminal, characters that no XML document can carry, or ones that turn the direction
of writing.
"""


def printable(text: str, *, lines: bool = False) -> str:
    """Escapes every character that cannot be seen (``\\x1b``, ``\\u202e``); with `lines` line feeds and tabs stay."""
    return "".join(
        each if each.isprintable() or (lines and each in "\n\t") else each.encode("unicode_escape").decode()
        for each in text
    )
