"""Changed files, and whether their change is found: for the proofs that no byte of a binary changes unseen.

The whole of verify looks at every mutant, in memory; nothing is left out because it was right before. As a program it
flips bytes of a real binary: `python tests/mutants.py STAMP FILE MAIN-PACKAGE COUNT`, as in `go1.22.10 pack cmd/pack
1600`, all of the load commands and COUNT positions each of the code and every table; it names what was not found.
"""

import random
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from verify_fixtures import DARWIN, image, view

from gobuild.binary.view import Malformed
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Problem
from gobuild.verify.checks import CheckId, FileReport
from gobuild.verify.expect import Expectation, expectation, release_of
from gobuild.verify.golang import inspect_bytes

Look = Callable[[bytes], bool]
"""Whether a file's change is found."""


def verdict(data: bytes, expected: Expectation, program: str = "") -> FileReport:
    """Every check of a file with these bytes, as `inspect` makes them of a file on disk."""
    inspected = FileReport(path=Path("mutant"), subject="mutant")
    try:
        inspect_bytes(view(data), inspected, program=program, expected=expected)
    except Malformed as error:
        inspected.judge(
            CheckId.FORMAT, [Problem("unreadable-file", str(error))], seen="", expected="a file that can be read"
        )
    return inspected


def failing(data: bytes, expected: Expectation, program: str = "") -> set[str]:
    """The names of the checks that a file with these bytes fails."""
    return {check.name for check in verdict(data, expected, program).checks if check.verdict == "FAILED"}


def expected_of(data: bytes) -> Expectation:
    """What a mutant of one of `small.seeds` is held to: a toolchain's own file of 1.22.10, for what it looks like."""
    goos = "linux" if data.startswith(b"\x7fELF") else "darwin"
    goarch = "amd64" if goos == "linux" or data[4:8] == b"\x07\0\0\x01" else "arm64"
    return expectation(GoVersion.parse("1.22.10"), Target(goos=goos, goarch=goarch), stamp="go1.22.10")


def flipped(data: bytes, positions: Iterable[int], seed: int) -> Iterator[tuple[int, bytes]]:
    """A mutant for each position: one bit, two bits or all of its byte changed."""
    chosen = random.Random(seed)
    for position in positions:
        mask = chosen.choice((1 << chosen.randrange(8), 1 << chosen.randrange(8), 0xFF, chosen.randrange(1, 256)))
        yield position, data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]


def unseen(data: bytes, positions: Iterable[int], found: Look, seed: int = 1) -> list[int]:
    """The positions whose change was not found."""
    return [position for position, mutant in flipped(data, positions, seed) if not found(mutant)]


def places(data: bytes) -> list[tuple[int, int]]:
    """A Mach-O file's load commands, code, tables, and what is in its signature in front of a CMS blob."""
    found = image(data)
    text, table, signature = found.section("__text"), found.section("__gopclntab"), found.signature
    assert text and table and signature
    (first,) = struct.unpack_from(">I", data, signature.offset + 16)
    (length,) = struct.unpack_from(">I", data, signature.offset + first + 4)
    return [
        (0, found.commands_end),
        (found.commands_end, text.offset),
        (text.offset, text.offset + text.size),
        (table.offset, table.offset + table.size),
        *((each.offset, each.end) for each in found.linkedit if each is not signature),
        (signature.offset, signature.offset + first + length),
    ]


def spread(ranges: Iterable[tuple[int, int]], each: int, seed: int) -> list[int]:
    """As many positions of each range, drawn at random, as are asked for; all of a range that has no more."""
    chosen = random.Random(seed)
    picked: list[int] = []
    for start, end in ranges:
        whole = range(start, end)
        picked += sorted(chosen.sample(whole, min(each, len(whole))))
    return picked


VALUES = (0, 1, 0x7F, 0x80, 0xFF, 0x1000, 0x4000, 0x7FFFFFFF, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 1)


def scrambled(seeds: list[bytes], chosen: random.Random) -> bytes:
    """A mutant of one of these files: bytes, numbers or blocks changed, moved, taken from another, cut or added."""
    data = bytearray(chosen.choice(seeds) or b"\0")
    # Small changes come most often: they get furthest.
    for _ in range(chosen.choice((1, 1, 1, 2, 2, 4, 8, 16))):
        if not data:
            break
        # Where the structure is: at the beginning, and anywhere that is not zero.
        at = chosen.choice((chosen.randrange(min(len(data), 2500)), chosen.randrange(len(data)), _filled(data, chosen)))
        kind = chosen.randrange(9)
        width = chosen.choice((1, 2, 4, 8))
        if kind == 0:
            data[at] ^= 1 << chosen.randrange(8)
        elif kind == 1:
            data[at] = chosen.randrange(256)
        elif kind in (2, 3):
            value = chosen.choice((*VALUES, len(data), chosen.getrandbits(64), at)) % (1 << 8 * width)
            data[at : at + width] = value.to_bytes(width, chosen.choice(("little", "little", "big")))
        elif kind == 4:
            number = int.from_bytes(data[at : at + width], "little") + chosen.choice((-8, -1, 1, 8, 16, 0x4000))
            data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
        elif kind == 5:
            length = chosen.choice((1, 8, 16, 72, 80, 200))
            other = chosen.randrange(len(data))
            data[at : at + length] = data[other : other + length]
        elif kind == 6:
            other_file = chosen.choice(seeds) or b"\0"
            place = chosen.randrange(len(other_file))
            length = chosen.choice((4, 16, 80, 400))
            data[at : at + length] = other_file[place : place + length]
        elif kind == 7 and chosen.random() < 0.2:
            del data[at:]
        elif kind == 8 and chosen.random() < 0.2:
            data += chosen.randbytes(chosen.choice((1, 16, 4096)))
    return bytes(data)


def _filled(data: bytearray, chosen: random.Random) -> int:
    """A place that is not zero, if one is found at once."""
    for _ in range(20):
        at = chosen.randrange(len(data))
        if data[at]:
            return at
    return 0


def main(stamp: str, file: str, program: str, count: str) -> None:
    """Flips, counts, and names what was not found."""
    data = Path(file).read_bytes()
    expected = expectation(release_of(stamp), DARWIN, stamp=stamp)
    if wrong := failing(data, expected, program):
        sys.exit(f"{file} as it is fails {', '.join(sorted(wrong))}")
    positions = [*range(image(data).commands_end), *spread(places(data)[1:], int(count), seed=int(count))]
    begun = time.process_time()
    missed = unseen(data, positions, lambda mutant: bool(failing(mutant, expected, program)))
    found, seconds = len(positions) - len(missed), time.process_time() - begun
    print(f"{file} of {stamp}, {len(data)} bytes: {found} of {len(positions)} found, {seconds:.0f} CPU seconds")
    sys.exit("\n".join(f"not found: {position:#x}" for position in missed) or None)


if __name__ == "__main__":
    main(*sys.argv[1:])
