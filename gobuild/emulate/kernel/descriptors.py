"""The guest's file descriptors: its own numbers for descriptors of the host."""

import os
from collections.abc import Callable
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
        release: ends what `state` holds, the host's descriptor with it.
    """

    kind: str
    host: int
    path: str = ""
    flags: int = 0
    users: int = 0
    state: Any = None
    release: Callable[[], None] | None = None

    def close(self) -> None:
        """Gives back what the host has for it."""
        if self.release:
            self.release()
        elif self.host >= 0:
            os.close(self.host)


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
            if not file.users:
                file.close()
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
        """Closes a descriptor, which leaves every kqueue; what the host has for it goes with the last one."""
        file = self.find(number)
        del self.files[number]
        self.close_on_exec.discard(number)
        for queue in self._queues():
            queue.state.forget(number)
        file.users -= 1
        if not file.users:
            file.close()
        return file

    def forked(self) -> None:
        """In a new process: a kqueue is not inherited (kqueue(2)), and must not touch the parent's."""
        for number in [number for number, file in self.files.items() if file.kind == "kqueue"]:
            queue = self.files.pop(number)
            self.close_on_exec.discard(number)
            queue.state.abandon()

    def _queues(self) -> list[OpenFile]:
        return [file for file in self.files.values() if file.kind == "kqueue"]
