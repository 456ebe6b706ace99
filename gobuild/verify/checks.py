"""The checks of one file: a path and an `Expectation` come in, an `Inspected` with every check goes out.

Checks are collected, and one that fails keeps none of the others from being made. Whatever the file is, the answer
is a verdict, never an exception. The checks themselves are `darwin`'s and `linux`'s, and for both `parts`'.
"""

from pathlib import Path

from gobuild.binary.view import Malformed, View, opened
from gobuild.verify import darwin, linux, parts
from gobuild.verify.expect import Expectation
from gobuild.verify.inspected import Inspected

__all__ = ["Inspected", "examine", "inspect"]

FORMATS = {"darwin": darwin.judge, "linux": linux.judge}


def inspect(path: Path, *, subject: str, program: str, expected: Expectation) -> Inspected:
    """Makes every check of one executable.

    Args:
        path: the file.
        subject: what to call it.
        program: the main package its build information must name; empty accepts any.
        expected: what it must be like.
    """
    inspected = Inspected(path=path, subject=subject)
    try:
        if path.is_symlink() or not path.is_file():
            raise Malformed("no plain file")
        with opened(path) as view:
            examine(view, inspected, program=program, expected=expected)
    except (Malformed, OSError) as error:
        said = getattr(error, "strerror", None) or str(error)
        inspected.judge("format", [said], seen="", expected=f"an executable for {expected.target}")
    return inspected


def examine(view: View, inspected: Inspected, *, program: str, expected: Expectation) -> None:
    """Makes every check of a file's bytes, wherever they come from; arguments as for `inspect`.

    Raises:
        Malformed: the file cannot be read on.
    """
    inspected.size, inspected.excuses = view.size, expected.excuses
    found = FORMATS[expected.target.goos](view, inspected, program, expected)
    parts.judge(view, inspected, found, program, expected)
