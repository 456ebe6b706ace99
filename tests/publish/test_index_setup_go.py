"""Which version words of actions/setup-go find a toolchain in the published index: its own matching, run by Node.

setup-go is no package; `data/setup-go/find.mjs` makes the calls that it makes, to the packages that it makes them to.
(setup-go's own dist/setup/index.js was run once, by hand, against such a tree.)
"""

import json
from pathlib import Path
from typing import Any

import npm
import pytest
from e2e.builds import captured
from needs import needs
from publish_clients import Served, serving
from publish_toys import catalogue, toy_build

from gobuild.publish import download_index

DATA = Path(__file__).parents[1] / "data" / "setup-go"

TREE = (("1.28rc1", "acme1"), ("1.22.10", "acme2.pab12"), ("1.22.10", "acme1.p0f3"), ("1.22.9", "acme1"))


@pytest.fixture(scope="session")
def setup_go() -> Path:
    """The folder with find.mjs and what it imports, installed by npm the first time."""
    return npm.installed(DATA)


def find(folder: Path, base: str, *words: str, download: str = "", scratch: Path) -> list[Any]:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "RUNNER_TEMP": str(scratch), "RUNNER_TOOL_CACHE": str(scratch)}
    done = captured(needs("node"), folder / "find.mjs", base, download, *words, env=env, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith(("{", "null"))]


@pytest.fixture
def served(tmp_path: Path) -> Any:
    offers = (toy_build(tmp_path / "dist", release=release, suffix=suffix) for release, suffix in TREE)
    download_index.write_downloads(catalogue(*offers), tmp_path / "tree")
    with serving(tmp_path / "tree") as found:
        yield found


def test_in_dl_only_words_that_speak_of_the_suffix(setup_go: Path, served: Served, tmp_path: Path) -> None:
    expected = {
        "1.22.10-acme1.p0f3": "go1.22.10-acme1.p0f3",  # this very one
        "~1.22.10-0": "go1.22.10-acme2.pab12",  # the newest of 1.22.10
        ">=1.22.10-0 <1.22.11": "go1.22.10-acme2.pab12",
        "1.22.9-0 || 1.22.9-acme1": "go1.22.9-acme1",
        "1.28.0-rc.1": "go1.28rc1-acme1",  # setup-go drops what stands behind a candidate's number
        "1.22": None,  # a suffix makes it a prerelease, and ranges without one pass over those
        "1.22.x": None,
        "^1.22": None,
        "1.22.10": None,
        "1.22.10-acme1": None,
        ">=1.22.0-0": None,  # semver: only prereleases of the very number that the range names
        "go1.22.10-acme1.p0f3": None,  # no semver: setup-go then makes the file's URL of it, and that is right
    }
    found = find(setup_go, f"{served.url}/dl", *expected, scratch=tmp_path)
    assert {word: each and each["version"] for word, each in zip(expected, found, strict=True)} == expected


def test_in_plain_the_usual_words(setup_go: Path, served: Served, tmp_path: Path) -> None:
    expected = dict.fromkeys(("1.22", "1.22.x", "^1.22", "1.22.10", ">=1.21"), "go1.22.10")
    expected |= {"1.22.9": "go1.22.9", "1.28.0-rc.1": "go1.28rc1"}
    *found, none = find(setup_go, f"{served.url}/dl/plain", *expected, "1.23", scratch=tmp_path)
    assert [each["version"] for each in found] == list(expected.values()) and none is None


@pytest.mark.parametrize(("folder", "word"), [("dl", "1.22.10-acme2.pab12"), ("dl/plain", "1.22")])
def test_what_is_found_comes_and_is_the_patched_one(
    folder: str, word: str, setup_go: Path, served: Served, tmp_path: Path
) -> None:
    """The download goes through @actions/tool-cache: its URL has a `..` in it under dl/plain."""
    (found,) = find(setup_go, f"{served.url}/{folder}", word, download="download", scratch=tmp_path)
    assert (Path(found["root"]) / "go/VERSION").read_text().startswith("go1.22.10-acme2.pab12\n")
