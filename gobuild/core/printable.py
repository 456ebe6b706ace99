"""Text from files we do not trust, made harmless: any text comes in, one without control characters goes out.

A file's name, an install name or a tool's output may hold escape sequences for a terminal, characters that no XML
document can carry, or ones that turn the direction of writing. What is shown or written for people and other programs
goes through here first.
"""


def printable(text: str, *, lines: bool = False) -> str:
    """Writes every character that cannot be seen as Python writes it in a string: ``\\x1b``, ``\\u202e``.

    Args:
        text: anything, lone surrogates (bytes of a file name that are no UTF-8) included.
        lines: whether line feeds and tabs stay, for what a program said.
    """
    return "".join(
        each if each.isprintable() or (lines and each in "\n\t") else each.encode("unicode_escape").decode()
        for each in text
    )
