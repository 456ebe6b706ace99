"""The loader takes any file: it starts a program, or refuses it in the kernel's or dyld's words."""

import fuzz_loader
import pytest
import small
from verify_fixtures import image, put


def test_mutants_start_or_are_refused() -> None:
    """A few of the 10,000 of tests/fuzz_loader.py: none ends the process that loads it, none takes long."""
    ends, died = fuzz_loader.run_block(range(1, 81))
    assert died == ""
    assert sum(ends.values()) == 80
    assert set(ends) > {"refused"}


@pytest.mark.parametrize("seed", [1182, 2183, 3051, 3599, 8193, 9764])
def test_mutants_that_once_ended_the_loader(seed: int) -> None:
    """Their segments ask for rights that there are none of."""
    assert fuzz_loader.attempt(fuzz_loader.mutant(seed), slide=seed % 2 * 0x4000)


def test_the_small_program_starts() -> None:
    assert fuzz_loader.attempt(small.macho(), slide=0x4000).startswith("runs")


@pytest.mark.parametrize(
    ("name", "field", "value", "told"),
    [
        ("__DATA", 48, 0x8010, "__DATA has more bytes than memory"),  # filesize
        ("__DATA", 40, 0x4010, "__DATA has more bytes than memory, or begins in a page"),  # fileoff
        ("__LINKEDIT", 40, 0x400000, "__LINKEDIT ends beyond the file"),  # fileoff
        ("__DATA", 24, 0x100004010, "__DATA begins at 0x100004010, within a page"),  # vmaddr
        ("__DATA", 32, 1 << 46, "ENOMEM"),  # vmsize
    ],
)
def test_a_segment_that_the_kernel_does_not_map(name: str, field: int, value: int, told: str) -> None:
    data = small.macho()
    segment = image(data).segment(name)
    assert segment
    end = fuzz_loader.attempt(put(data, segment.command + field, "<Q", value), slide=0)
    assert end.startswith("refused: ")
    assert told in end
