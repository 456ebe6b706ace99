"""Bytes of real binaries flipped by the ten thousand, and every mutant looked at whole: which one is not found?

A program, not a test: `python tests/flip_verify.py STAMP FILE MAIN-PACKAGE COUNT`, as in
`python tests/flip_verify.py go1.22.10 pack cmd/pack 1600`: all of the load commands, and COUNT positions each of the
code, the table of functions, every table in __LINKEDIT, and the signature up to the end of its CodeDirectory.
"""

import sys
import time
from pathlib import Path

from mutants import failing, places, spread, unseen
from verify_fixtures import DARWIN, image

from gobuild.verify.expect import expectation, release_of


def main(words: list[str]) -> None:
    """Flips, counts, and names what was not found."""
    stamp, path, program, count = words[0], Path(words[1]), words[2], int(words[3])
    data = path.read_bytes()
    expected = expectation(release_of(stamp), DARWIN, stamp=stamp)
    if wrong := failing(data, expected, program):
        sys.exit(f"{path.name} as it is fails {', '.join(sorted(wrong))}")
    positions = [*range(image(data).commands_end), *spread(places(data)[1:], count, seed=count)]
    begun = time.process_time()
    missed = unseen(data, positions, lambda mutant: bool(failing(mutant, expected, program)))
    found, seconds = len(positions) - len(missed), time.process_time() - begun
    print(f"{path.name} of {stamp}, {len(data)} bytes: {found} of {len(positions)} found, {seconds:.0f} CPU seconds")
    for position in missed:
        print(f"not found: {position:#x}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main(sys.argv[1:])
