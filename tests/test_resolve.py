"""resolve: a word in, a release out."""

import pytest

from gobuild.core.errors import ConfigError, ResolveError
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Catalog, Release
from gobuild.resolve import resolve

VERSIONS = "1.20 1.20.14 1.21.13 1.22.2 1.22.10 1.22.9 1.23.9 1.24rc1 1.24.3 1.26rc1"


def catalog(versions: str = VERSIONS) -> Catalog:
    releases = tuple(Release(version=GoVersion.parse(each), origin="go.dev") for each in versions.split())
    return Catalog(origin="go.dev", releases=releases)


@pytest.mark.parametrize(
    ("request_", "version"),
    [
        ("1.22", "1.22.10"),
        ("go1.22", "1.22.10"),
        (" 1.22.9 ", "1.22.9"),
        ("go1.22.10", "1.22.10"),
        ("1.20", "1.20.14"),
        ("1.20.0", "1.20"),
        ("1.24rc1", "1.24rc1"),
        ("1.26rc1", "1.26rc1"),
        ("stable", "1.24.3"),
        ("oldstable", "1.23.9"),
    ],
)
def test_a_request_means_a_release(request_: str, version: str) -> None:
    assert str(resolve(request_, catalog()).version) == version


@pytest.mark.parametrize(
    ("request_", "near"),
    [
        ("1.22.11", "1.22.10, 1.22.9, 1.22.2, 1.23.9"),
        ("1.22.3", "1.22.2, 1.22.9, 1.22.10, 1.23.9"),
        ("1.25", "1.24.3, 1.23.9, 1.22.10, 1.21.13"),
        ("1.26", "1.26rc1, 1.24.3, 1.23.9, 1.22.10"),
        ("1.24rc3", "1.24rc1, 1.24.3, 1.23.9, 1.22.10"),
        ("2.0.1", "1.24.3, 1.23.9, 1.22.10, 1.21.13"),
    ],
)
def test_an_unknown_version_is_answered_with_the_nearest(request_: str, near: str) -> None:
    with pytest.raises(ResolveError) as caught:
        resolve(request_, catalog())
    assert caught.value.reason == f"go.dev has no Go {request_}"
    assert caught.value.hint == f"the nearest it has: {near}"


def test_no_release_at_all() -> None:
    for request_ in ("1.22", "stable", "1.22.1"):
        with pytest.raises(ResolveError, match=r"go\.dev has no"):
            resolve(request_, catalog(""))
    with pytest.raises(ResolveError, match="no oldstable release"):
        resolve("oldstable", catalog("1.22.10 1.22.9 1.23rc1"))


def test_what_is_no_version_is_a_mistake_of_the_users() -> None:
    for request_ in ("latest", "", "1", "1.22.x", "1.22.3rc1", "1.22.10-acme"):
        with pytest.raises(ConfigError, match="no version of Go"):
            resolve(request_, catalog())


def test_newer_is_what_is_known_and_lacking() -> None:
    known = [GoVersion.parse(each) for each in ("1.22.12", "1.23.8", "1.22.11", "1.22rc2", "1.29.1")]
    assert str(resolve("1.22", catalog(), known=known).newer) == "1.22.12"
    assert str(resolve("1.22.2", catalog(), known=known).newer) == "1.22.12"
    assert resolve("1.23", catalog(), known=known).newer is None
    assert resolve("1.24", catalog(), known=iter(known)).newer is None
    assert resolve("1.22", catalog()).newer is None


@pytest.mark.parametrize(
    ("request_", "meant"),
    [
        ("v1.22.10", "1.22.10"),
        ("1.22.x", "1.22"),
        ("1.22.*", "1.22"),
        ("1.22.0-rc.1", "1.22rc1"),
        ("v1.28-beta.2", "1.28beta2"),
        ("stabel", "stable"),
    ],
)
def test_versions_written_as_others_do_get_the_right_word(request_: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(request_, catalog("1.22.10"))
    assert caught.value.hint == f"did you mean {meant!r}?"


def test_a_go_that_is_too_old_is_told_which_is_not() -> None:
    catalog = Catalog(origin="PyPI", releases=(Release(version=GoVersion.parse("1.22.10"), origin="PyPI"),))
    with pytest.raises(ResolveError) as caught:
        resolve("1.20", catalog)
    assert caught.value.hint == "1.21 or later; the nearest it has: 1.22.10"
