"""The failures a user can cause: one class, one exit code, one message that says what to do next."""

import difflib
import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class GobuildError(Exception):
    """The base of all of them: what went wrong, with the names and values that matter, and what to do about it."""

    exit_code = 1

    def __init_subclass__(cls, code: int | None = None) -> None:
        cls.exit_code = code or cls.exit_code

    def __init__(self, message: str, hint: str = "") -> None:
        self.reason = message
        self.hint = hint
        super().__init__(message, hint)

    def __str__(self) -> str:
        return f"error: {self.reason}" + (f"\n  try: {self.hint}" if self.hint else "")


class ConfigError(GobuildError, code=2):
    """A setting or a word on the command line that cannot be used."""


class ResolveError(GobuildError, code=3):
    """No release answers to the version asked for."""


class FetchError(GobuildError, code=4):
    """An input could not be had."""


class Unreachable(FetchError):
    """The place an input should come from does not answer as it should just now; the same place may, a little later."""


class NoConnection(Unreachable):
    """Nothing is there to answer: no such host, no connection, or nothing in the cache. Another place may."""


class ChecksumMismatch(GobuildError, code=5):
    """A download's digest is not the one it must have."""


class PatchError(GobuildError, code=6):
    """A patch, or the series it stands in, cannot be used on this source."""


class BuildError(GobuildError, code=7):
    """make.bash failed."""


class VerifyError(GobuildError, code=8):
    """At least one check of the report failed."""


class PackageError(GobuildError, code=9):
    """The toolchain could not be packaged."""


class PublishError(PackageError):
    """A build cannot be published, or not there: a damaged manifest, or other bytes under a name that is taken."""


class ToolMissing(GobuildError, code=10):
    """A program that this step cannot do without is not on PATH."""


class CommandError(GobuildError, code=11):
    """A program that gobuild ran failed, where no class above says more."""


class UnsafeArchive(GobuildError, code=12):
    """An archive has an entry that is no plain file or folder below its root."""


class IncompleteDownload(GobuildError, code=13):
    """A download ended before all its bytes were there."""


class BootstrapError(GobuildError, code=14):
    """No Go toolchain that can build this release."""


class DiskFull(GobuildError, code=15):
    """There is no room for the next step."""


class Busy(GobuildError, code=16):
    """Another gobuild is at work in the same place."""


class Interrupted(GobuildError, code=130):
    """The user ended the run (Ctrl-C, or SIGTERM)."""


class Refused(GobuildError, code=17):
    """The system does not let us read or write where we must."""


class SignError(GobuildError, code=18):
    """A program could not be signed, or Apple did not notarize it."""


class MatrixError(GobuildError, code=19):
    """A job of a matrix failed, or the cluster could not run it."""


class DoctorError(GobuildError, code=20):
    """The doctor found something that must be cured (or, where that was asked for, something to look at)."""


class VulnerabilityError(GobuildError, code=21):
    """A toolchain or program has known vulnerabilities that --fail-on does not allow."""


class NotMachO(GobuildError, code=22):
    """A file that should be run as macOS runs it is no Mach-O program that can be read."""


class NotStarted(GobuildError, code=23):
    """MacOS would not start a program, or would kill it for its signature."""


class LimitReached(GobuildError, code=24):
    """A program was ended because it had used up what it may."""


class AcceptanceError(GobuildError, code=25):
    """Go's tests, or a patch's own, do not say what they must of a patched Go."""


def first_few(lines: Iterable[str], most: int = 6) -> list[str]:
    """What an error names of many things that a report has all of."""
    told = list(lines)
    return told if len(told) <= most else [*told[:most], f"and {len(told) - most} more"]


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """The hint for a mistyped word: the known one most like it; else `otherwise`, or all known ones."""
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"did you mean {near[0]}?" if near else otherwise or "one of " + ", ".join(names)


@contextmanager
def os_errors_as_ours(places: str = "") -> Iterator[None]:
    """Turns whatever the operating system refuses into one of our errors: around a task, or a call of the library.

    The hint names `places`, the flags that choose another place: "--work or --dist".
    """
    try:
        yield
    except OSError as error:
        # A plain one, as requests raises for a file of certificates that is missing, has its whole sentence as text.
        said = f"{error.strerror}: {error.filename}" if error.filename is not None else str(error.strerror or error)
        other = f", or another place by {places}" if places else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{said[:1].lower()}{said[1:]}", f"free some room{other}") from error
        raise Refused(said, f"see that it is there, and the right to read or write it{other}") from error
