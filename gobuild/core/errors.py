"""The failures a user can cause: one class, one exit code, one message that says what to do next."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class GobuildError(Exception):
    """The base of all of them: what went wrong, with the names and values that matter, and what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.reason = message
        self.hint = hint
        super().__init__(message, hint)

    def __str__(self) -> str:
        return f"error: {self.reason}" + (f"\n  try: {self.hint}" if self.hint else "")


class ConfigError(GobuildError):
    """A setting or a word on the command line that cannot be used."""

    exit_code = 2


class ResolveError(GobuildError):
    """No release answers to the version asked for."""

    exit_code = 3


class FetchError(GobuildError):
    """An input could not be had."""

    exit_code = 4


class Unreachable(FetchError):
    """The place an input should come from does not answer as it should just now; the same place may, a little later."""


class NoConnection(Unreachable):
    """Nothing is there to answer: no such host, no connection, or nothing in the cache. Another place may."""


class ChecksumMismatch(GobuildError):
    """A download's digest is not the one it must have."""

    exit_code = 5


class PatchError(GobuildError):
    """A patch, or the series it stands in, cannot be used on this source."""

    exit_code = 6


class BuildError(GobuildError):
    """make.bash failed."""

    exit_code = 7


class VerifyError(GobuildError):
    """At least one check of the report failed."""

    exit_code = 8


class PackageError(GobuildError):
    """The toolchain could not be packaged."""

    exit_code = 9


class PublishError(PackageError):
    """A build cannot be published, or not there: a damaged manifest, or other bytes under a name that is taken."""


class ToolMissing(GobuildError):
    """A program that this step cannot do without is not on PATH."""

    exit_code = 10


class CommandError(GobuildError):
    """A program that gobuild ran failed, where no class above says more."""

    exit_code = 11


class UnsafeArchive(GobuildError):
    """An archive has an entry that is no plain file or folder below its root."""

    exit_code = 12


class IncompleteDownload(GobuildError):
    """A download ended before all its bytes were there."""

    exit_code = 13


class BootstrapError(GobuildError):
    """No Go toolchain that can build this release."""

    exit_code = 14


class DiskFull(GobuildError):
    """There is no room for the next step."""

    exit_code = 15


class Busy(GobuildError):
    """Another gobuild is at work in the same place."""

    exit_code = 16


class Interrupted(GobuildError):
    """The user ended the run (Ctrl-C, or SIGTERM)."""

    exit_code = 130


class Refused(GobuildError):
    """The system does not let us read or write where we must."""

    exit_code = 17


class SignError(GobuildError):
    """A program could not be signed, or Apple did not notarize it."""

    exit_code = 18


class MatrixError(GobuildError):
    """A job of a matrix failed, or the cluster could not run it."""

    exit_code = 19


class DoctorError(GobuildError):
    """The doctor found something that must be cured (or, where that was asked for, something to look at)."""

    exit_code = 20


@contextmanager
def os_errors_as_ours(places: str = "") -> Iterator[None]:
    """Turns whatever the operating system refuses into one of our errors: around a task, or a call of the library.

    Args:
        places: flags that choose another place, for the hint: "--work or --dist".

    Raises:
        DiskFull: there is no room, or a quota is used up.
        Refused: any other ``OSError``: no right, a read-only file system, a file for a folder.
    """
    try:
        yield
    except OSError as error:
        # A plain one, as requests raises for a file of certificates that is missing, has its whole sentence as text.
        said = f"{error.strerror}: {error.filename}" if error.filename is not None else str(error.strerror or error)
        other = f", or another place by {places}" if places else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(said, f"free some room{other}") from error
        raise Refused(said, f"see that it is there, and the right to read or write it{other}") from error
