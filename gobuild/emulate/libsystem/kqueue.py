"""<sys/event.h>: for descriptors a kqueue is an epoll instance of the host; EVFILT_USER is its own."""

import contextlib
import os
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EBADF, EINTR, EINVAL, ENOENT, DarwinError
from gobuild.emulate.darwin.structs import TIMESPEC
from gobuild.emulate.descriptors import OpenFile
from gobuild.emulate.threads import Blocking, Thread, Wait, Woken

KEVENT = struct.Struct("<QhHIqQ")
"""ident, filter, flags, fflags, data, udata."""

EVFILT_READ, EVFILT_WRITE, EVFILT_USER = -1, -2, -10
EV_ADD, EV_DELETE, EV_ENABLE, EV_DISABLE, EV_ONESHOT, EV_CLEAR = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
EV_RECEIPT, EV_ERROR, EV_EOF = 0x40, 0x4000, 0x8000
NOTE_TRIGGER = 0x01000000

_EPOLL = {EVFILT_READ: select.EPOLLIN | select.EPOLLRDHUP, EVFILT_WRITE: select.EPOLLOUT}
_ENDED = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
_DESCRIPTORS = tuple(_EPOLL)


@dataclass(slots=True, kw_only=True)
class Knote:
    """What is watched: `file` for a descriptor, `triggered` for EVFILT_USER."""

    ident: int
    filter: int
    flags: int
    fflags: int
    udata: int
    file: OpenFile | None = None
    triggered: bool = False

    def event(self, *, flags: int = 0, data: int = 0) -> bytes:
        """As kevent tells it."""
        kept = self.flags & (EV_ADD | EV_ONESHOT | EV_CLEAR)
        return KEVENT.pack(self.ident, self.filter, kept | flags, self.fflags, data, self.udata)


@dataclass(slots=True, kw_only=True, eq=False)
class Queue:
    """A kqueue."""

    epoll: select.epoll
    notes: dict[tuple[int, int], Knote] = field(default_factory=dict)

    def watched(self, host: int) -> list[Knote]:
        """What is watched of a descriptor of the host's."""
        return [
            note for note in self.notes.values() if note.file and note.file.host == host and not note.flags & EV_DISABLE
        ]

    def rearm(self, host: int) -> None:
        """Tells the host what is watched of its descriptor."""
        with contextlib.suppress(OSError):  # it was not watched, or is closed
            self.epoll.unregister(host)
        notes = self.watched(host)
        if notes:
            mask = select.EPOLLET if any(note.flags & EV_CLEAR for note in notes) else 0
            for note in notes:
                mask |= _EPOLL[note.filter]
            self.epoll.register(host, mask)

    def forget(self, ident: int) -> None:
        """A descriptor is closed, and no longer watched; the host would go on where a fork has it too."""
        for kind in _DESCRIPTORS:
            if note := self.notes.get((ident, kind)):
                self.remove(note)

    def remove(self, note: Knote) -> None:
        """Ends a watch."""
        del self.notes[note.ident, note.filter]
        if note.file:
            self.rearm(note.file.host)


@libsystem("int kqueue(void)")
def kqueue(t: Thread) -> int:
    epoll = select.epoll()
    file = OpenFile(kind="kqueue", host=os.dup(epoll.fileno()), state=Queue(epoll=epoll))
    return t.process.files.add(file)


@libsystem(
    "int kevent(int kq, struct kevent *changelist, int nchanges, struct kevent *eventlist, int nevents,"
    " struct timespec *timeout)",
)
def kevent(t: Thread, kq: int, changelist: int, nchanges: int, eventlist: int, nevents: int, timeout: int) -> Blocking:
    file = t.process.files.find(kq)
    if file.kind != "kqueue":
        raise DarwinError(EBADF)
    if nchanges < 0 or nevents < 0:
        raise DarwinError(EINVAL)
    queue: Queue = file.state
    events = _change_all(t, queue, changelist, nchanges, nevents)
    deadline = None
    if timeout:
        seconds, nanoseconds = t.memory.unpack(TIMESPEC, timeout)
        deadline = t.process.scheduler.now + seconds * 10**9 + nanoseconds
    while not events and nevents:
        events = list(_happened(queue, nevents))
        if events or (deadline is not None and deadline <= t.process.scheduler.now):
            break
        how = yield Wait(key=queue, deadline=deadline, reads=(file.host,))
        if how in (Woken.BY_SIGNAL, Woken.TO_RESTART):
            raise DarwinError(EINTR)
    t.memory.write(eventlist, b"".join(events))
    return len(events)


def _change_all(t: Thread, queue: Queue, changelist: int, count: int, room: int) -> list[bytes]:
    """Makes the changes; an error is an event where there is room for it, and ends the call where there is none."""
    told: list[bytes] = []
    for index in range(count):
        ident, kind, flags, fflags, _, udata = t.memory.unpack(KEVENT, changelist + KEVENT.size * index)
        number = 0
        try:
            _change(t, queue, Knote(ident=ident, filter=kind, flags=flags, fflags=fflags, udata=udata))
        except DarwinError as error:
            if len(told) >= room:
                raise
            number = error.number
        if number or flags & EV_RECEIPT:
            told.append(KEVENT.pack(ident, kind, flags | EV_ERROR, fflags, number, udata))
    return told


def _change(t: Thread, queue: Queue, change: Knote) -> None:
    note = queue.notes.get((change.ident, change.filter))
    if change.filter not in (*_DESCRIPTORS, EVFILT_USER):
        raise DarwinError(EINVAL)
    if change.filter in _DESCRIPTORS:
        change.file = t.process.files.find(change.ident)
        if note and note.file is not change.file:  # that descriptor was closed, and its watch with it
            queue.remove(note)
            note = None
    if change.flags & EV_DELETE:
        if note is None:
            raise DarwinError(ENOENT)
        queue.remove(note)
        return
    if note is None:
        if not change.flags & EV_ADD:
            raise DarwinError(ENOENT)
        note = queue.notes[change.ident, change.filter] = change
    elif change.flags & EV_ADD:
        note.flags, note.udata = change.flags, change.udata
    note.flags = note.flags & ~(EV_ENABLE | EV_DISABLE) | change.flags & EV_DISABLE
    if note.file:
        queue.rearm(note.file.host)
    elif change.fflags & NOTE_TRIGGER:
        note.triggered = True
        t.process.scheduler.wake(queue)


def _happened(queue: Queue, room: int) -> Iterator[bytes]:
    """The events there are just now."""
    for note in list(queue.notes.values()):
        if note.triggered and room and not note.flags & EV_DISABLE:
            room -= 1
            yield note.event()
            if note.flags & EV_CLEAR:
                note.triggered = False
            if note.flags & EV_ONESHOT:
                queue.remove(note)
    if not room or not any(note.file for note in queue.notes.values()):
        return
    for host, mask in sorted(queue.epoll.poll(0, maxevents=room)):
        for note in queue.watched(host):
            ended = bool(mask & _ENDED)
            if room and (mask & _EPOLL[note.filter] or ended):
                room -= 1
                yield note.event(flags=EV_EOF if ended else 0, data=0 if ended else 1)
                if note.flags & EV_ONESHOT:
                    queue.remove(note)
