"""The engine keeps a thread's registers."""

from gobuild.emulate.machine.engine import PC, Engine


def test_what_a_call_returned_is_saved() -> None:
    """A thread that is switched away right behind a call would otherwise make that call again."""
    engine = Engine(seed=1)
    engine.x[PC], engine.x[0] = 0x1000, 7
    engine.store()
    engine.x[PC], engine.x[0] = 0x2000, 8  # the call has returned
    context = engine.save()
    engine.x[PC], engine.x[0] = 0x3000, 9  # another thread's
    engine.store()
    engine.restore(context)
    assert (engine.x[PC], engine.x[0]) == (0x2000, 8)
