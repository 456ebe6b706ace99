"""<pthread.h>: threads, mutexes, conditions, thread-specific data.

A mutex or condition is named by its address; what stands there is the guest's to copy, so nothing is kept in it.
"""

from collections import deque

from gobuild.emulate.abi import libsystem
from gobuild.emulate.darwin.errno import EAGAIN, EBUSY, EINVAL, EPERM, ETIMEDOUT
from gobuild.emulate.kernel.threads import Blocking, Thread, Wait, Woken
from gobuild.emulate.machine.memory import READ, WRITE, round_up

KEYS_FIRST, KEYS_MAX = 0x100, 512
"""Keys below are the system's own (libpthread's private tsd_private.h)."""
STACK_DEFAULT = 512 << 10
GUARD = 0x4000

ATTR_STACKSIZE, ATTR_DETACHED, ATTR_SIGNATURE = 8, 16, 0x54485241
"""Where this libSystem keeps an attribute in the opaque struct of 64 bytes; the signature is Darwin's."""


@libsystem("int pthread_attr_init(pthread_attr_t *attr)", fails="number", noisy=True)
def pthread_attr_init(t: Thread, attr: int) -> int:
    t.memory.write(attr, bytes(64))
    t.memory.put_u64(attr, ATTR_SIGNATURE)
    t.memory.put_u64(attr + ATTR_STACKSIZE, STACK_DEFAULT)
    return 0


@libsystem("int pthread_attr_destroy(pthread_attr_t *attr)", fails="number", noisy=True)
def pthread_attr_destroy(t: Thread, attr: int) -> int:
    t.memory.put_u64(attr, 0)
    return 0


@libsystem("int pthread_attr_getstacksize(pthread_attr_t *attr, size_t *size)", fails="number", noisy=True)
def pthread_attr_getstacksize(t: Thread, attr: int, size: int) -> int:
    t.memory.put_u64(size, t.memory.u64(attr + ATTR_STACKSIZE))
    return 0


@libsystem("int pthread_attr_setstacksize(pthread_attr_t *attr, size_t size)", fails="number", noisy=True)
def pthread_attr_setstacksize(t: Thread, attr: int, size: int) -> int:
    if size < 0x4000:
        return EINVAL
    t.memory.put_u64(attr + ATTR_STACKSIZE, size)
    return 0


@libsystem("int pthread_attr_setdetachstate(pthread_attr_t *attr, int state)", fails="number", noisy=True)
def pthread_attr_setdetachstate(t: Thread, attr: int, state: int) -> int:
    if state not in (1, 2):
        return EINVAL
    t.memory.put_u32(attr + ATTR_DETACHED, state)
    return 0


@libsystem(
    "int pthread_create(pthread_t *thread, pthread_attr_t *attr, void *start, void *arg)", fails="number", noisy=True
)
def pthread_create(t: Thread, thread: int, attr: int, start: int, arg: int) -> int:
    size = round_up(t.memory.u64(attr + ATTR_STACKSIZE) if attr else STACK_DEFAULT)
    bottom = t.memory.map(0, GUARD + size, 0)
    t.memory.protect(bottom + GUARD, size, READ | WRITE)
    new = t.process.new_thread(start, (arg,), bottom + GUARD + size)
    new.mask = t.mask
    new.stack = (bottom, GUARD + size)
    t.memory.put_u64(thread, new.pthread)
    return 0


@libsystem("pthread_t pthread_self(void)")
def pthread_self(t: Thread) -> int:
    return t.pthread


@libsystem("int pthread_key_create(pthread_key_t *key, void *destructor)", fails="number", noisy=True)
def pthread_key_create(t: Thread, key: int, destructor: int) -> int:
    if t.process.keys >= KEYS_MAX:
        return EAGAIN
    t.memory.put_u64(key, t.process.keys)
    t.process.keys += 1
    return 0


@libsystem("int pthread_setspecific(pthread_key_t key, void *value)", fails="number", noisy=True)
def pthread_setspecific(t: Thread, key: int, value: int) -> int:
    if not 0 <= key < KEYS_MAX:
        return EINVAL
    t.memory.put_u64(t.tsd + 8 * key, value)
    return 0


@libsystem("void *pthread_getspecific(pthread_key_t key)")
def pthread_getspecific(t: Thread, key: int) -> int:
    return t.memory.u64(t.tsd + 8 * key) if 0 <= key < KEYS_MAX else 0


@libsystem("int pthread_mutex_init(pthread_mutex_t *mutex, void *attr)", fails="number", noisy=True)
def pthread_mutex_init(t: Thread, mutex: int, attr: int) -> int:
    t.process.mutexes[mutex] = deque()
    return 0


def lock(t: Thread, mutex: int) -> Blocking:
    """Waits until the mutex is this thread's; those who wait get it in their order."""
    queue = t.process.mutexes.setdefault(mutex, deque())
    queue.append(t)
    while queue[0] is not t:
        yield Wait(key=(mutex, t))


def unlock(t: Thread, mutex: int) -> int:
    """Hands the mutex to the next thread."""
    queue = t.process.mutexes.get(mutex)
    if not queue or queue[0] is not t:
        return EPERM
    queue.popleft()
    if queue:
        t.process.scheduler.wake((mutex, queue[0]))
    return 0


@libsystem("int pthread_mutex_lock(pthread_mutex_t *mutex)", fails="number", noisy=True)
def pthread_mutex_lock(t: Thread, mutex: int) -> Blocking:
    yield from lock(t, mutex)
    return 0


@libsystem("int pthread_mutex_trylock(pthread_mutex_t *mutex)", fails="number")
def pthread_mutex_trylock(t: Thread, mutex: int) -> int:
    queue = t.process.mutexes.setdefault(mutex, deque())
    if queue:
        return EBUSY
    queue.append(t)
    return 0


@libsystem("int pthread_mutex_unlock(pthread_mutex_t *mutex)", fails="number", noisy=True)
def pthread_mutex_unlock(t: Thread, mutex: int) -> int:
    return unlock(t, mutex)


@libsystem("int pthread_cond_init(pthread_cond_t *cond, void *attr)", fails="number", noisy=True)
def pthread_cond_init(t: Thread, cond: int, attr: int) -> int:
    return 0


@libsystem("int pthread_cond_signal(pthread_cond_t *cond)", fails="number", noisy=True)
def pthread_cond_signal(t: Thread, cond: int) -> int:
    t.process.scheduler.wake(("cond", cond))
    return 0


@libsystem("int pthread_cond_broadcast(pthread_cond_t *cond)", fails="number")
def pthread_cond_broadcast(t: Thread, cond: int) -> int:
    t.process.scheduler.wake(("cond", cond), 1 << 30)
    return 0


@libsystem("int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)", fails="number", noisy=True)
def pthread_cond_wait(t: Thread, cond: int, mutex: int) -> Blocking:
    if unlock(t, mutex):
        return EINVAL
    yield Wait(key=("cond", cond))
    yield from lock(t, mutex)
    return 0


@libsystem(
    "int pthread_cond_timedwait_relative_np(pthread_cond_t *cond, pthread_mutex_t *mutex, struct timespec *time)",
    fails="number",
    noisy=True,
)
def pthread_cond_timedwait_relative_np(t: Thread, cond: int, mutex: int, time: int) -> Blocking:
    seconds, nanoseconds = t.memory.u64(time), t.memory.u64(time + 8)
    if unlock(t, mutex):
        return EINVAL
    deadline = t.process.scheduler.now + seconds * 10**9 + nanoseconds
    how = yield Wait(key=("cond", cond), deadline=deadline)
    yield from lock(t, mutex)
    return ETIMEDOUT if how is Woken.BY_TIME else 0
