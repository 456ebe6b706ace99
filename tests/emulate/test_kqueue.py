"""kqueue tells of descriptors, timers and users' events as <sys/event.h> says, on real pipes and sockets."""

import os
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gobuild.emulate.darwin import socket as d
from gobuild.emulate.darwin.errno import EBADF, EINVAL, ENOENT, DarwinError
from gobuild.emulate.kernel.descriptors import Descriptors, OpenFile
from gobuild.emulate.kernel.threads import Scheduler
from gobuild.emulate.libsystem.kqueue import Queue

MS = 10**6


class Guest:
    """A table of descriptors with a kqueue in it, and what `Queue.change` asks of a thread."""

    def __init__(self) -> None:
        self.files, self.scheduler, self.queue = Descriptors(limit=64), Scheduler(), Queue()
        self.kq = self.files.add(OpenFile(kind="kqueue", host=-1, state=self.queue, release=self.queue.close))
        self.thread: Any = SimpleNamespace(process=SimpleNamespace(files=self.files, scheduler=self.scheduler))

    def pipe(self) -> tuple[int, int]:
        ends = [self.files.add(OpenFile(kind="pipe", host=host)) for host in os.pipe()]
        return ends[0], ends[1]

    def host(self, number: int) -> int:
        return self.files.find(number).host

    def change(self, ident: int, kind: int, flags: int, fflags: int = 0, data: int = 0) -> None:
        self.queue.change(self.thread, (ident, kind, flags, fflags, data, 0xABC))

    def events(self, limit: int = 8) -> list[tuple[int, int, int, int]]:
        """Ident, filter, whether EV_EOF is set, and data."""
        told = self.queue.harvest(self.scheduler.now, limit)
        assert all(event[5] == 0xABC for event in told)
        return [(event[0], event[1], event[2] & d.EV_EOF, event[4]) for event in told]


@pytest.fixture
def guest() -> Iterator[Guest]:
    guest = Guest()
    yield guest
    for number in list(guest.files.files):
        guest.files.close(number)


def test_level_and_edge(guest: Guest) -> None:
    """Without EV_CLEAR an event is told as long as it lasts, with it once for each change."""
    for flags, again in ((d.EV_ADD, True), (d.EV_ADD | d.EV_CLEAR, False)):
        r, w = guest.pipe()
        guest.change(r, d.EVFILT_READ, flags)
        assert guest.events() == []
        os.write(guest.host(w), b"abc")
        assert guest.events() == [(r, d.EVFILT_READ, 0, 3)]
        assert guest.events() == [(r, d.EVFILT_READ, 0, 3)] * again
        os.write(guest.host(w), b"d")
        assert guest.events() == [(r, d.EVFILT_READ, 0, 4)]
        guest.files.close(r)


@pytest.mark.parametrize(("flag", "afterwards"), [(d.EV_ONESHOT, ENOENT), (d.EV_DISPATCH, None)])
def test_told_once(guest: Guest, flag: int, afterwards: int | None) -> None:
    """EV_ONESHOT takes the filter out, EV_DISPATCH leaves it to be enabled again."""
    r, w = guest.pipe()
    guest.change(r, d.EVFILT_READ, d.EV_ADD | flag)
    os.write(guest.host(w), b"x")
    assert len(guest.events()) == 1
    assert guest.events() == []
    try:
        guest.change(r, d.EVFILT_READ, d.EV_ENABLE)
    except DarwinError as error:
        assert error.number == afterwards
    else:
        assert afterwards is None
        assert len(guest.events()) == 1


def test_disabled_and_deleted(guest: Guest) -> None:
    r, w = guest.pipe()
    os.write(guest.host(w), b"x")
    guest.change(r, d.EVFILT_READ, d.EV_ADD)
    guest.change(r, d.EVFILT_READ, d.EV_DISABLE)
    assert guest.events() == []
    guest.change(r, d.EVFILT_READ, d.EV_ENABLE)
    assert len(guest.events()) == 1
    guest.change(r, d.EVFILT_READ, d.EV_DELETE)
    assert guest.events() == []
    with pytest.raises(DarwinError) as caught:
        guest.change(r, d.EVFILT_READ, d.EV_DELETE)
    assert caught.value.number == ENOENT


def test_the_other_end_is_closed(guest: Guest) -> None:
    r, w = guest.pipe()
    guest.change(r, d.EVFILT_READ, d.EV_ADD | d.EV_CLEAR)
    guest.files.close(w)
    assert guest.events() == [(r, d.EVFILT_READ, d.EV_EOF, 0)]
    r, w = guest.pipe()
    guest.change(w, d.EVFILT_WRITE, d.EV_ADD | d.EV_CLEAR)
    assert guest.events() == [(w, d.EVFILT_WRITE, 0, 0x10000)]
    guest.files.close(r)
    assert [event[:3] for event in guest.events()] == [(w, d.EVFILT_WRITE, d.EV_EOF)]


def test_a_half_closed_connection(guest: Guest) -> None:
    one, other = socket.socketpair()
    number = guest.files.add(OpenFile(kind="socket", host=one.detach()))
    guest.change(number, d.EVFILT_READ, d.EV_ADD | d.EV_CLEAR)
    with other:
        other.send(b"bye")
        other.shutdown(socket.SHUT_WR)
        assert guest.events() == [(number, d.EVFILT_READ, d.EV_EOF, 3)]


@pytest.mark.parametrize("copied", [False, True])
def test_a_closed_descriptor_leaves_it(guest: Guest, *, copied: bool) -> None:
    """Also where a copy keeps the file open, and with its number given to another file."""
    r, w = guest.pipe()
    guest.change(r, d.EVFILT_READ, d.EV_ADD)
    if copied:
        guest.files.add(guest.files.find(r))
    guest.files.close(r)
    os.write(guest.host(w), b"x") if copied else None
    assert guest.events() == []
    assert guest.queue.notes == {}
    assert guest.pipe()[0] == r
    assert guest.events() == []


def test_a_new_process_leaves_its_parents_alone(guest: Guest) -> None:
    """After a fork the host's epoll is shared: the child's descriptors go, the parent's still wait."""
    r, w = guest.pipe()
    guest.change(r, d.EVFILT_READ, d.EV_ADD)
    ready, stop = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(stop[1])
        guest.files.forked()
        guest.files.close(r)
        os.write(ready[1], b"still" if guest.kq in guest.files.files else b"gone")
        os.read(stop[0], 1)
        os._exit(0)
    assert os.read(ready[0], 5) == b"gone"
    os.write(guest.host(w), b"x")
    assert guest.events() == [(r, d.EVFILT_READ, 0, 1)]
    guest.files.close(r)
    with pytest.raises(BrokenPipeError):  # for the child has no copy either
        os.write(guest.host(w), b"x")
    os.write(stop[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (*ready, *stop):
        os.close(descriptor)


def test_timer(guest: Guest) -> None:
    """In milliseconds where nothing else is said, again and again, by the guest's clock."""
    start = guest.scheduler.now
    guest.change(7, d.EVFILT_TIMER, d.EV_ADD, 0, 10)
    guest.change(8, d.EVFILT_TIMER, d.EV_ADD | d.EV_ONESHOT, d.NOTE_USECONDS, 15_000)
    assert guest.queue.next_timer() == start + 10 * MS
    for after, expected in (
        (9, []),
        (10, [(7, 1)]),
        (16, [(8, 1)]),
        (45, [(7, 3)]),
        (46, []),
    ):
        guest.scheduler.now = start + after * MS
        assert [(event[0], event[3]) for event in guest.events()] == expected, after


def test_users_event(guest: Guest) -> None:
    guest.change(1, d.EVFILT_USER, d.EV_ADD | d.EV_CLEAR, d.NOTE_FFCOPY | 0b1100)
    assert guest.events() == []
    guest.change(1, d.EVFILT_USER, 0, d.NOTE_TRIGGER | d.NOTE_FFOR | 0b0011)
    told = guest.queue.harvest(0, 8)
    assert [event[3] for event in told] == [0b1111]
    assert guest.events() == []


def test_as_many_as_there_is_room_for(guest: Guest) -> None:
    """The others are told the next time, edge-triggered ones too."""
    numbers = []
    for _ in range(3):
        r, w = guest.pipe()
        guest.change(r, d.EVFILT_READ, d.EV_ADD | d.EV_CLEAR)
        os.write(guest.host(w), b"x")
        numbers.append(r)
    told = [event[0] for _ in range(4) for event in guest.events(1)]
    assert sorted(told) == numbers


@pytest.mark.parametrize(
    ("ident", "kind", "number"), [(40, d.EVFILT_READ, EBADF), (1, -5, EINVAL), (1, d.EVFILT_READ, EINVAL)]
)  # fmt: skip
def test_refused(guest: Guest, ident: int, kind: int, number: int) -> None:
    """No such descriptor, a filter that is not there, and what has no host's descriptor."""
    guest.files.put(1, OpenFile(kind="file", host=-1))
    with pytest.raises(DarwinError) as caught:
        guest.change(ident, kind, d.EV_ADD)
    assert caught.value.number == number
    assert guest.queue.notes == {}


def test_a_wait_that_another_thread_of_the_host_ends(guest: Guest) -> None:
    """The queue itself can be waited for, as `Wait.reads` does."""
    r, w = guest.pipe()
    guest.change(r, d.EVFILT_READ, d.EV_ADD)
    timer = threading.Timer(0.05, os.write, (guest.host(w), b"x"))
    timer.start()
    assert guest.queue.epoll.poll(5) != []
    timer.join()
