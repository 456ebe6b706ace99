"""<time.h>, <sys/time.h>, <mach/mach_time.h>."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EINTR, EINVAL, DarwinError
from gobuild.emulate.darwin.structs import TIMEBASE, TIMESPEC, TIMEVAL
from gobuild.emulate.threads import Blocking, Thread, Wait, Woken

CLOCK_REALTIME, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC, CLOCK_UPTIME_RAW = 0, 4, 6, 8
NUMERATOR, DENOMINATOR = 125, 3
"""A tick of Apple's arm64 machines is 125/3 ns."""


@libsystem("uint64_t mach_absolute_time(void)")
def mach_absolute_time(t: Thread) -> int:
    return t.process.scheduler.now * DENOMINATOR // NUMERATOR


@libsystem("int mach_timebase_info(struct mach_timebase_info *info)", fails="number", noisy=True)
def mach_timebase_info(t: Thread, info: int) -> int:
    t.memory.pack(TIMEBASE, info, NUMERATOR, DENOMINATOR)
    return 0


@libsystem("int clock_gettime(clockid_t clock_id, struct timespec *tp)", noisy=True)
def clock_gettime(t: Thread, clock: int, tp: int) -> int:
    now = t.process.scheduler.now
    if clock == CLOCK_REALTIME:
        now += t.process.plan.epoch * 10**9
    elif clock not in (CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_UPTIME_RAW):
        raise DarwinError(EINVAL)
    t.memory.pack(TIMESPEC, tp, *divmod(now, 10**9))
    return 0


@libsystem("int gettimeofday(struct timeval *tp, void *tzp)")
def gettimeofday(t: Thread, tp: int, tzp: int) -> int:
    seconds, rest = divmod(t.process.scheduler.now + t.process.plan.epoch * 10**9, 10**9)
    t.memory.pack(TIMEVAL, tp, seconds, rest // 1000)
    return 0


@libsystem("int usleep(useconds_t usec)", noisy=True)
def usleep(t: Thread, usec: int) -> Blocking:
    how = yield Wait(deadline=t.process.scheduler.now + usec * 1000)
    if how is not Woken.BY_TIME:
        raise DarwinError(EINTR)
    return 0
