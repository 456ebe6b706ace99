"""Homebrew's order of versions: as it was seen (facts), and as its version.rb has it."""

import functools
import itertools

import pytest

from gobuild.publish.homebrew.version_order import compare_versions

ASCENDING = [
    "1.22.10",
    "1.22.10-acme1.p3f9c2a1",
    "1.22.10-acme2.p0000000",
    "1.22.10-acme10.p0000000",
    "1.22.11-acme1.p0000000",
    "1.27.0-acme1",
    "1.27rc1-acme1",  # the wrong way round, and so it is in Homebrew
    "1.28.0",
]


def test_the_order_that_was_seen() -> None:
    for low, high in itertools.combinations(ASCENDING, 2):
        assert compare_versions(low, high) == -1, (low, high)
        assert compare_versions(high, low) == 1, (low, high)
    assert sorted(set(ASCENDING), key=functools.cmp_to_key(compare_versions)) == ASCENDING


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        # Each was asked of Homebrew's own Version, as were 20,000 pairs made at random.
        ("1.22.10-acme1.p36efb16", "1.22.10-acme1.p36efb16", 0),
        ("1.22.10-acme1.p36efb16", "1.22.10-acme1.p8e097f0", 1),  # p36 against p8: a digest says nothing
        ("1.22.10-acme1.pa12", "1.22.10-acme1.p12", -1),
        ("1.22.10-acme1", "1.22.10-acme1.0", 0),
        ("1.22.10-a1", "1.22.10", -1),
        ("1.22.10-pre3", "1.22.10-a1", 1),
        ("1.22.10-x.post2", "1.22.10-x.post1", 1),
    ],
)
def test_single_pairs(left: str, right: str, expected: int) -> None:
    assert compare_versions(left, right) == expected
    assert compare_versions(right, left) == -expected
