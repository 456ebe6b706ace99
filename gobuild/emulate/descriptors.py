"""The guest's file descriptors: its own numbers for descriptors of the host."""

import os
from dataclasses import dataclass, field
from typing import Any

from gobuild.emulate.darwin.errno import EBADF, EMFILE, DarwinError


@dataclass(slots=True, kw_only=True, eq=False)
class OpenFile:
    """An open file, which several descriptors may share.

    Attributes:
        kind: "file", "directory", "pipe", "socket", "kqueue", "device" or "standard" (what the guest was started with).
        host: the host's descriptor; -1 for what the host knows nothing of.
        path: the guest's path, for a file or directory.
        flags: Darwin's open flags, of which F_GETFL tells.
        state: what the functions of its header keep with it.
    """

    kind: str
    host: int
    path: str = ""
    flags: int = 0
    users: int = 0
    state: Any = None


@dataclass(slots=True, kw_only=True)
class Descriptors:
    """A process's table; `limit` is RLIMIT_NOFILE's."""

    limit: int
    files: dict[int, OpenFile] = field(default_factory=dict)
    close_on_exec: set[int] = field(default_factory=set)

    def find(self, number: int) -> OpenFile:
        """The file of a descriptor."""
        try:
            return self.files[number]
        except KeyError:
            raise DarwinError(EBADF) from None

    def add(self, file: OpenFile, *, close_on_exec: bool = False, lowest: int = 0) -> int:
        """The lowest free number, for this file."""
        number = lowest
        while number in self.files:
            number += 1
        if number >= self.limit:
            if not file.users and file.host >= 0:
                os.close(file.host)
            raise DarwinError(EMFILE)
        self.put(number, file, close_on_exec=close_on_exec)
        return number

    def put(self, number: int, file: OpenFile, *, close_on_exec: bool = False) -> None:
        """Gives a file this number, which is closed first where it is taken."""
        file.users += 1
        if number in self.files:
            self.close(number)
        self.files[number] = file
        if close_on_exec:
            self.close_on_exec.add(number)

    def close(self, number: int) -> OpenFile:
        """Closes a descriptor; the host's with the last one."""
        file = self.find(number)
        for each in self.files.values():
            if each.kind == "kqueue":
                each.state.forget(number)
        del self.files[number]
        self.close_on_exec.discard(number)
        file.users -= 1
        if not file.users and file.host >= 0:
            os.close(file.host)
        return file
