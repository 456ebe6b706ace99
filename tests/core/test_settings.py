"""Bad input is refused before work begins, with a word on what would be good."""

from dataclasses import fields
from pathlib import Path

import pytest

from gobuild.core.errors import ConfigError
from gobuild.core.settings import Settings
from gobuild.tasks.words import HELP


def test_later_layers_win_and_nothing_said_is_the_default() -> None:
    settings = Settings.of({"go": "1.21", "dist": "a", "offline": "yes"}, {"go": "1.22", "dist": None})
    assert (settings.go, settings.dist, settings.offline, settings.profile) == ("1.22", Path("a"), True, "static")


def test_every_setting_has_a_flag_with_help() -> None:
    assert set(HELP) == {entry.name for entry in fields(Settings)}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("taget", "darwin/arm64", "did you mean target?"),
        ("target", "darwin/riscv", "one of darwin/arm64"),
        ("profile", "fast", "one of static, upstream"),
        ("suffix", "Acme1", "lower-case letters"),
        ("suffix", "acme+1", "lower-case letters"),
        ("suffix", "acme rc1", "lower-case letters"),
        ("suffix", "acmerc1", "prerelease"),
        ("suffix", "beta.1", "prerelease"),
        ("suffix", "", "shares upstream's build cache"),
        ("go", 1.3, 'quotes: go: "1.30"'),
        ("go", 1.22, 'quotes: go: "1.22"'),
        ("offline", "perhaps", "true or false"),
        ("extra", "osinit-trace,,", "which is no patch's name"),
        ("extra", "osinit trace", "which is no patch's name"),
        ("extra", ["osinit-trace"], "a plain word"),
        ("name", "go", "never go itself"),
        ("name", "Go Acme", "lower-case words"),
        ("index_url", "ftp://example.com/", "no URL"),
        ("index_url", "https://example.com/ x", "no URL"),
        ("base_url", 'https://example.com/"#{`id`}', "no URL"),
        ("dist", ["a"], "a plain word or path"),
    ],
)
def test_what_cannot_be_used_is_refused(key: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=None) as caught:
        Settings.of({key: value})
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_without_patches_the_suffix_may_be_empty_and_extra_is_a_list_with_commas() -> None:
    assert Settings.of({"suffix": "", "series": "none"}).suffix == ""
    assert Settings().extras == ()
    assert Settings(extra="b, a,b").extras == ("b", "a")
