"""The guest's processes: each is a process of the host's; one table for all says who they are and how they ended."""

import fcntl
import mmap
import os
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gobuild.emulate.darwin.errno import EAGAIN, DarwinError

INIT, FIRST_PID = 1, 100

_ENTRY = struct.Struct("<6i")
"""pid (0 for a free entry), the host's pid, parent, process group, status (RUNNING or wait4's), signals pending."""
_HEAD = struct.Struct("<i")
"""The last pid that was given."""

RUNNING = -1

DOORBELL = signal.SIGUSR1
"""What a process of the host's gets when signals are pending for the guest's."""


@dataclass(slots=True)
class Entry:
    """One process."""

    pid: int
    host: int
    parent: int
    group: int
    status: int = RUNNING
    pending: int = 0


class ProcessTable:
    """See above; every change is made under a lock that all processes respect."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = mmap.mmap(-1, _HEAD.size + _ENTRY.size * limit)
        self._lock = os.memfd_create("gobuild-processes")
        _HEAD.pack_into(self._memory, 0, FIRST_PID - 1)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def _entries(self) -> Iterator[tuple[int, Entry]]:
        for offset in range(_HEAD.size, _HEAD.size + _ENTRY.size * self._limit, _ENTRY.size):
            entry = Entry(*_ENTRY.unpack_from(self._memory, offset))
            if entry.pid:
                yield offset, entry

    def _put(self, offset: int, entry: Entry) -> None:
        _ENTRY.pack_into(
            self._memory, offset, entry.pid, entry.host, entry.parent, entry.group, entry.status, entry.pending
        )

    def add(self, *, parent: int, group: int = 0) -> int:
        """A new process, the host's pid of which comes later; EAGAIN where there are too many."""
        with self._locked():
            taken = {offset for offset, _ in self._entries()}
            places = range(_HEAD.size, _HEAD.size + _ENTRY.size * self._limit, _ENTRY.size)
            offset = next((each for each in places if each not in taken), None)
            if offset is None:
                raise DarwinError(EAGAIN)
            pid = _HEAD.unpack_from(self._memory, 0)[0] + 1
            _HEAD.pack_into(self._memory, 0, pid)
            self._put(offset, Entry(pid, 0, parent, group or pid))
            return int(pid)

    def change(self, pid: int, *, host: int | None = None, group: int | None = None, status: int | None = None) -> None:
        """Sets what is given."""
        with self._locked():
            for offset, entry in self._entries():
                if entry.pid == pid:
                    entry.host = entry.host if host is None else host
                    entry.group = entry.group if group is None else group
                    if status is not None and entry.status == RUNNING:
                        entry.status = status
                    self._put(offset, entry)

    def find(self, pid: int) -> Entry | None:
        """A process, alive or not yet waited for."""
        return next((entry for _, entry in self._entries() if entry.pid == pid), None)

    def all(self) -> list[Entry]:
        """All of them."""
        return [entry for _, entry in self._entries()]

    def end(self, pid: int, status: int) -> None:
        """The process itself ends: its children are init's from now on, which waits for none."""
        with self._locked():
            for offset, entry in self._entries():
                if entry.pid == pid:
                    entry.status = status if entry.status == RUNNING else entry.status
                    entry.pid = 0 if entry.parent == INIT else entry.pid
                    self._put(offset, entry)
                elif entry.parent == pid:
                    entry.parent = INIT
                    entry.pid = entry.pid if entry.status == RUNNING else 0
                    self._put(offset, entry)

    def remove(self, pid: int) -> int:
        """Takes a child that has ended out of the table; its status."""
        with self._locked():
            for offset, entry in self._entries():
                if entry.pid == pid:
                    self._put(offset, Entry(0, 0, 0, 0))
                    return entry.status
        return RUNNING

    def send(self, entry: Entry, number: int) -> None:
        """A signal for another process, which notices it at its next call; SIGKILL ends it at once."""
        if number == signal.SIGKILL:
            self.change(entry.pid, status=int(signal.SIGKILL))
            os.kill(entry.host, signal.SIGKILL)
            return
        with self._locked():
            for offset, each in self._entries():
                if each.pid == entry.pid:
                    each.pending |= 1 << number
                    self._put(offset, each)
        os.kill(entry.host, DOORBELL)

    def take_pending(self, pid: int) -> int:
        """The signals that others have sent, as bits, which are taken out."""
        with self._locked():
            for offset, entry in self._entries():
                if entry.pid == pid:
                    pending, entry.pending = entry.pending, 0
                    self._put(offset, entry)
                    return pending
        return 0
