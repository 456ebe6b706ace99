"""<time.h>, <sys/time.h>, <mach/mach_time.h>."""

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EINTR, EINVAL, DarwinError
from gobuild.emulate.darwin.structs import ITIMERVAL, TIMEBASE, TIMESPEC, TIMEVAL
from gobuild.emulate.kernel.signals import SIGPROF, SIGVTALRM, Timer
from gobuild.emulate.kernel.threads import SIGABRT, Blocking, Ended, Thread, Wait, Woken

CLOCK_REALTIME, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC, CLOCK_UPTIME_RAW = 0, 4, 6, 8
ITIMER_REAL, ITIMER_SIGNALS = 0, {1: SIGVTALRM, 2: SIGPROF}
"""ITIMER_VIRTUAL and ITIMER_PROF are the same here: a guest spends no time in the kernel."""
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


@libsystem("int setitimer(int which, struct itimerval *value, struct itimerval *ovalue)")
def setitimer(t: Thread, which: int, new: int, old: int) -> int:
    if which == ITIMER_REAL:
        raise Ended(
            SIGABRT, "unknown-import", "setitimer is called for ITIMER_REAL, which this libSystem does not have"
        )
    if which not in ITIMER_SIGNALS:
        raise DarwinError(EINVAL)
    timers, now = t.process.signals.timers, t.process.scheduler.worked
    timer = timers.get(ITIMER_SIGNALS[which], Timer(now, 0))
    if old:
        interval, left = timer.interval // 1000, (timer.at - now) // 1000
        t.memory.pack(ITIMERVAL, old, *divmod(interval, 10**6), *divmod(left, 10**6))
    if new:
        timers.pop(ITIMER_SIGNALS[which], None)
        seconds, micro, after, rest = t.memory.unpack(ITIMERVAL, new)
        if after or rest:
            interval = (seconds * 10**6 + micro) * 1000
            timers[ITIMER_SIGNALS[which]] = Timer(now + (after * 10**6 + rest) * 1000, interval)
    return 0
