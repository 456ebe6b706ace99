"""The dtrace script of templates/hang.d, and its output: text comes in, `Stacks` go out.

``ustack()`` prints the innermost frame first, each as ``image`symbol+0x8`` or an address (as in real output,
tests/data/doctor); the lines between them are our script's own. Needs root, and a SIP that lets dtrace look.
"""

import re

from gobuild.core.render import render
from gobuild.doctor.macos.stacks import Draft, Stacks

SECONDS = 2
"""How long the script looks, as it stands there."""

ENTRY = re.compile(r"gobuild (?P<tid>\d{1,18}) (?P<provider>mach_trap|syscall):(?P<trap>[A-Za-z0-9_]{1,64})")
ENTRIES = 400
"""How many entries the script tells, of all threads together, as it stands there."""

END = "gobuild end"
REFUSALS = {
    "DTrace requires additional privileges": "dtrace needs root",
    "DTrace cannot instrument translated processes": "dtrace cannot look at a process that Rosetta translates",
    "cannot control executables signed with restricted entitlements": "SIP keeps this program from dtrace",
    "failed to grab pid": "dtrace may not look at this process",
    "does not match any probes": "this SIP leaves dtrace without these probes: csrutil enable --without dtrace",
}
"""What dtrace says where it may not look; sources in tests/data/doctor/README.md."""


def script() -> str:
    """The script, for ``dtrace -s``."""
    return render("hang.d")


def refusal(text: str) -> str:
    """Why dtrace looked at nothing, as far as it says so; "" where it looked."""
    return next((means for words, means in REFUSALS.items() if words in text), "")


def whole(text: str) -> bool:
    """Whether the script ran to its end and told all: only then does a thread that entered nothing say something."""
    lines = text.splitlines()
    return END in lines and sum(ENTRY.fullmatch(line) is not None for line in lines) < ENTRIES


def read(text: str) -> Stacks:
    """Reads the script's output. A thread's frames are those of its last entry; its count is that of its entries."""
    entries: dict[int, int] = {}
    stacks: dict[int, list[tuple[str, str]]] = {}
    tid: int | None = None
    for line in text.splitlines():
        if match := ENTRY.fullmatch(line):
            tid = int(match["tid"])
            entries[tid] = entries.get(tid, 0) + 1
            stacks[tid] = []
        elif line.startswith("gobuild"):
            tid = None
        elif tid is not None and line.startswith(" ") and (frame := line.strip()):
            image, tick, symbol = frame.rpartition("`")
            stacks[tid].append(((symbol if tick else frame).partition("+0x")[0], image))
    threads = []
    for tid, frames in stacks.items():
        draft = Draft(tid=tid, name=f"thread {tid:#x}", count=entries[tid])
        for depth, (symbol, image) in enumerate(reversed(frames)):
            draft.add(symbol=symbol, image=image, count=entries[tid], depth=depth)
        threads.append(draft.done())
    return Stacks(tool="dtrace", threads=tuple(threads))
