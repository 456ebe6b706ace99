"""<sys/event.h>: kqueue, upon the host's epoll, of which EPOLLET means what EV_CLEAR does.

Filters: EVFILT_READ, EVFILT_WRITE, EVFILT_USER and EVFILT_TIMER; any other is EINVAL.
"""

import array
import fcntl
import os
import select
import termios
from dataclasses import dataclass, field

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import EBADF, EINTR, EINVAL, ENOENT, DarwinError
from gobuild.emulate.darwin.structs import TIMESPEC
from gobuild.emulate.kernel.descriptors import OpenFile
from gobuild.emulate.kernel.threads import Blocking, Thread, Wait, Woken

Event = tuple[int, ...]
"""As d.KEVENT."""

EPOLL = {
    d.EVFILT_READ: select.EPOLLIN | select.EPOLLRDHUP,
    d.EVFILT_WRITE: select.EPOLLOUT,
}
ENDED = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
UNITS = {0: 10**6, d.NOTE_SECONDS: 10**9, d.NOTE_USECONDS: 10**3, d.NOTE_NSECONDS: 1}
"""Nanoseconds of a timer's unit."""
KEPT = d.EV_ONESHOT | d.EV_CLEAR | d.EV_DISPATCH


@dataclass(slots=True, kw_only=True, eq=False)
class Note:
    """A filter that is registered (a knote).

    Attributes:
        host: a descriptor of its own for the same file of the host's; -1 where the host has no part in it.
        triggered: for EVFILT_USER.
        due, period: for EVFILT_TIMER, nanoseconds of the guest's clock.
    """

    ident: int
    filter: int
    flags: int
    fflags: int
    data: int
    udata: int
    host: int = -1
    enabled: bool = True
    triggered: bool = False
    due: int = 0
    period: int = 0

    @property
    def events(self) -> int:
        """What epoll is asked."""
        return EPOLL[self.filter] | (select.EPOLLET if self.flags & d.EV_CLEAR else 0)


@dataclass(slots=True, eq=False)
class Queue:
    """What is behind a kqueue's descriptor."""

    epoll: select.epoll = field(default_factory=select.epoll)
    notes: dict[tuple[int, int], Note] = field(default_factory=dict)

    def forget(self, ident: int) -> None:
        """Drops what waits for a descriptor that is closed."""
        for kind in EPOLL:
            if (ident, kind) in self.notes:
                self.drop(self.notes[ident, kind])

    def drop(self, note: Note) -> None:
        """Takes a filter out."""
        del self.notes[note.ident, note.filter]
        if note.host >= 0:
            if note.enabled:
                self.epoll.unregister(note.host)
            os.close(note.host)

    def abandon(self) -> None:
        """Closes this process's copies, and leaves what they share with its parent's as it is."""
        for note in self.notes.values():
            if note.host >= 0:
                os.close(note.host)
        self.notes = {}
        self.epoll.close()

    def close(self) -> None:
        """Ends it."""
        for note in list(self.notes.values()):
            self.drop(note)
        self.epoll.close()

    # Changes

    def change(self, t: Thread, event: Event) -> None:
        """Does what one of kevent's changes asks for."""
        ident, kind, flags, fflags, data, udata = event
        note = self.notes.get((ident, kind))
        if note is None:
            if not flags & d.EV_ADD:
                raise DarwinError(ENOENT)
            note = Note(ident=ident, filter=kind, flags=flags & KEPT, fflags=0, data=0, udata=udata)
            if kind in EPOLL:
                self._watch(note, t.process.files.find(ident))
            elif kind not in (d.EVFILT_USER, d.EVFILT_TIMER):
                raise DarwinError(EINVAL)
            self.notes[ident, kind] = note
        elif flags & d.EV_DELETE:
            self.drop(note)
            return
        elif flags & d.EV_ADD:
            note.udata = udata
            if note.flags != flags & KEPT:
                note.flags = flags & KEPT
                self._modify(note)
        self._touch(t, note, flags, fflags, data)
        if flags & (d.EV_ENABLE | d.EV_DISABLE):
            self._enable(note, on=bool(flags & d.EV_ENABLE))

    def _touch(self, t: Thread, note: Note, flags: int, fflags: int, data: int) -> None:
        if note.filter == d.EVFILT_USER:
            operand, how = fflags & d.NOTE_FFLAGSMASK, fflags & d.NOTE_FFCTRLMASK
            note.fflags = {
                0: note.fflags, d.NOTE_FFAND: note.fflags & operand, d.NOTE_FFOR: note.fflags | operand,
                d.NOTE_FFCOPY: operand,
            }[how]  # fmt: skip
            if fflags & d.NOTE_TRIGGER:
                note.triggered = True
                note.data = data
        elif note.filter == d.EVFILT_TIMER and flags & d.EV_ADD:
            unit = UNITS.get(fflags & (d.NOTE_SECONDS | d.NOTE_USECONDS | d.NOTE_NSECONDS))
            if unit is None or data < 0 or fflags & d.NOTE_ABSOLUTE:
                raise DarwinError(EINVAL)
            note.period = data * unit
            note.due = t.process.scheduler.now + note.period

    def _watch(self, note: Note, file: OpenFile) -> None:
        if file.host < 0:
            raise DarwinError(EINVAL)
        host = os.dup(file.host)
        try:
            self.epoll.register(host, note.events)
        except OSError:  # a file, of which epoll knows nothing
            os.close(host)
            raise DarwinError(EINVAL) from None
        note.host = host

    def _modify(self, note: Note) -> None:
        if note.host >= 0 and note.enabled:
            self.epoll.modify(note.host, note.events)

    def _enable(self, note: Note, *, on: bool) -> None:
        if note.host >= 0 and note.enabled != on:
            if on:
                self.epoll.register(note.host, note.events)
            else:
                self.epoll.unregister(note.host)
        note.enabled = on

    # Events

    def harvest(self, now: int, limit: int) -> list[Event]:
        """The events that there are, at most so many; those that are told once are then gone."""
        found: list[tuple[Note, int, int]] = []  # with flags and data
        for note in self.notes.values():
            if not note.enabled or len(found) == limit:
                continue
            if note.triggered:
                found.append((note, 0, note.data))
                note.triggered = not note.flags & (d.EV_CLEAR | d.EV_ONESHOT)
            elif note.filter == d.EVFILT_TIMER and note.due <= now:
                times = 1 + (now - note.due) // note.period if note.period else 1
                note.due += times * note.period
                found.append((note, 0, times))
        if len(found) < limit:
            found += self._from_host(limit - len(found))
        return [self._told(*each) for each in found]

    def _from_host(self, limit: int) -> list[tuple[Note, int, int]]:
        ready = dict(self.epoll.poll(0, limit))
        notes = [note for note in self.notes.values() if note.host in ready]  # in the order that they came
        return [(note, d.EV_EOF if ready[note.host] & ENDED else 0, _amount(note)) for note in notes]

    def _told(self, note: Note, flags: int, data: int) -> Event:
        if note.flags & d.EV_ONESHOT:
            self.drop(note)
        elif note.flags & d.EV_DISPATCH:
            self._enable(note, on=False)
        return (note.ident, note.filter, note.flags | flags, note.fflags, data, note.udata)

    def next_timer(self) -> int | None:
        """When the next timer is due."""
        timers = [each.due for each in self.notes.values() if each.filter == d.EVFILT_TIMER and each.enabled]
        return min(timers, default=None)


def _amount(note: Note) -> int:
    """Bytes to be read; for a listening socket, which has none, one connection."""
    if note.filter == d.EVFILT_WRITE:
        return 0x10000
    count = array.array("i", [0])
    try:
        fcntl.ioctl(note.host, termios.FIONREAD, count)
    except OSError:
        return 1
    return count[0]


@libsystem("int kqueue(void)")
def kqueue(t: Thread) -> int:
    queue = Queue()
    file = OpenFile(kind="kqueue", host=queue.epoll.fileno(), state=queue, release=queue.close)
    return t.process.files.add(file)


@libsystem(
    "int kevent(int kq, struct kevent *changelist, int nchanges, struct kevent *eventlist, int nevents,"
    " struct timespec *timeout)",
)
def kevent(
    t: Thread, kq: int, changelist: int, nchanges: int, eventlist: int, nevents: int, timeout: int
) -> Blocking | int:
    file = t.process.files.find(kq)
    if file.kind != "kqueue":
        raise DarwinError(EBADF)
    if nchanges < 0 or nevents < 0:
        raise DarwinError(EINVAL)
    queue: Queue = file.state
    told: list[Event] = []
    for index in range(nchanges):
        event = t.memory.unpack(d.KEVENT, changelist + index * d.KEVENT.size)
        try:
            queue.change(t, event)
            number = 0
        except DarwinError as error:
            number = error.number
        if number or event[2] & d.EV_RECEIPT:
            if len(told) == nevents:
                raise DarwinError(number)
            told.append((*event[:2], event[2] | d.EV_ERROR, event[3], number, event[5]))
    if nchanges:
        t.process.scheduler.wake(("kqueue", queue), 1 << 30)
    if told or not nevents:
        return _deliver(t, told, eventlist)
    return _wait(t, queue, eventlist, nevents, timeout)


def _deliver(t: Thread, events: list[Event], at: int) -> int:
    for index, event in enumerate(events):
        t.memory.pack(d.KEVENT, at + index * d.KEVENT.size, *event)
    return len(events)


def _wait(t: Thread, queue: Queue, eventlist: int, nevents: int, timeout: int) -> Blocking:
    scheduler = t.process.scheduler
    end = None
    if timeout:
        seconds, part = t.memory.unpack(TIMESPEC, timeout)
        if seconds < 0 or not 0 <= part < 10**9:
            raise DarwinError(EINVAL)
        end = scheduler.now + seconds * 10**9 + part
    while True:
        events = queue.harvest(scheduler.now, nevents)
        if events or (end is not None and scheduler.now >= end):
            return _deliver(t, events, eventlist)
        deadlines = [each for each in (end, queue.next_timer()) if each is not None]
        how = yield Wait(key=("kqueue", queue), deadline=min(deadlines, default=None), reads=(queue.epoll.fileno(),))
        if how in (Woken.BY_SIGNAL, Woken.TO_RESTART):  # kevent is never restarted
            raise DarwinError(EINTR)
