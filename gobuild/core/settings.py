"""What the user asked for, from a config file, the environment and flags; checked here, before any work begins."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from platformdirs import user_cache_path

from gobuild.core.errors import ConfigError, did_you_mean
from gobuild.core.goversion import Target
from gobuild.core.model import PROFILES, Profile

SUFFIX = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)*")
"""What may follow the hyphen. With a `+` the go command would take the toolchain for a development build."""

MAY_BE_EMPTY = ("suffix", "bootstrap", "base_url", "policy", "store", "shared_store")
"""Keys for which "" says something; for the others an empty variable counts as not said."""

WITH_CREDENTIALS = ("index_url",)
"""URLs that may hold a name and a password: only fetch sees them, and tells nobody. The others are written down."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""A formula's name, such as go-acme."""

KEY_FILE = re.compile(r".+\.(p12|pfx|pem)", re.IGNORECASE)
IDENTITY = "identity:"

BUILDERS = ("auto", "make.bash", "direct", "both")

NO_HOME = Path(os.devnull) / "gobuild"
"""The cache of somebody whose home folder is not known: what needs none works, and nothing can be made there."""

PATCH = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""A patch's name."""

GROUPS = {
    "Go and its source": ("go", "source", "index_url", "offline", "no_fallback"),
    "Target": ("target", "profile"),
    "Patches": ("series", "extends", "without", "extra", "suffix"),
    "Builder": ("builder", "bootstrap", "fresh"),
    "Places": ("dist", "work", "cache", "store", "shared_store"),
    "Checks": ("policy", "trust"),
    "Signing": (
        "sign", "sign_password_env", "sign_password_file", "entitlements", "timestamp_url", "notarize",
    ),
    "Publishing": ("base_url", "name"),
}  # fmt: skip
"""Every setting, under the heading that a task's help shows it."""


def _users_cache() -> Path:
    """The platform's folder for caches; `NO_HOME` where there is neither a HOME nor an entry for this user."""
    try:
        found = user_cache_path("gobuild", appauthor=False)
    except RuntimeError:
        return NO_HOME
    return found if found.is_absolute() else NO_HOME


def _setting(default: object, help: str) -> Any:
    """A field of `Settings`, with the help of its flag."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What to build, how, and where. Every field is a key and a flag; its help says what it means."""

    go: str = _setting("stable", "which Go: 1.22 (its newest patch release), 1.22.10, stable, oldstable, 1.28rc1")
    target: str = _setting("darwin/arm64", "GOOS/GOARCH the toolchain is for")
    source: str = _setting("auto", "auto, archive, wheel, git+URL@REF, or the path of a source folder or tarball")
    series: str = _setting("stock", "stock, none, or a folder of patches, or one patch, of your own")
    extra: str = _setting("", "optional patches of the series to apply as well: osinit-trace,toolchain-guard")
    extends: str = _setting("", "stock: the stock patches come first, and the series' own behind them")
    without: str = _setting("", "stock patches to leave out: goenv-local, several with commas between them")
    suffix: str = _setting(
        "gobuild.{id}",
        "what the version has behind the hyphen; {id} stands for a digest of all that changes the toolchain",
    )
    profile: str = _setting("static", "static (CGO_ENABLED=0, stripped) or upstream")
    bootstrap: str = _setting("", "the folder of a Go toolchain to start from")
    offline: bool = _setting(False, "use only what the cache holds")
    no_fallback: bool = _setting(
        False, "fail where go.dev cannot be reached, rather than take PyPI's release, which may be older"
    )
    dist: Path = field(default=Path("dist"), metadata={"help": "where the archives go"})
    work: Path = field(default=Path("build"), metadata={"help": "where trees are built"})
    cache: Path = field(default_factory=_users_cache, metadata={"help": "where downloads are kept"})
    index_url: str = _setting("https://go.dev/dl/", "go.dev's download index, or a mirror's")
    base_url: str = _setting("", "where the archives will be served from, for the formula")
    name: str = _setting("go-gobuild", "the Homebrew formula's name")
    policy: str = _setting("", "a TOML file of rules that loosen or tighten verify's checks")
    sign: str = _setting(
        "linker", "linker, ad-hoc, FILE.p12 or FILE.pem with a certificate and its key, or identity:NAME on a Mac"
    )
    sign_password_env: str = _setting("", "the name of the variable with that file's password")
    sign_password_file: str = _setting("", "a file whose first line is that file's password")
    entitlements: str = _setting("", "an XML property list: what signed programs ask the system for")
    timestamp_url: str = _setting("", "an RFC 3161 server's URL, or apple")
    notarize: str = _setting("", "a keychain profile of notarytool, on a Mac")
    trust: str = _setting("", "a PEM file with roots that signatures may lead to, besides Apple's")
    builder: str = _setting("auto", "make.bash, direct (the same bytes, sooner), both (and compare them), or auto")
    store: str = _setting("", "the folder that keeps finished toolchains and host tools")
    shared_store: str = _setting(
        "", "a second store behind it, shared by a team: a folder, or a URL such as s3://bucket/prefix"
    )
    fresh: bool = _setting(False, "build although the store has it")

    def __post_init__(self) -> None:
        Target.parse(self.target)
        for key, words in (("profile", tuple(PROFILES)), ("builder", BUILDERS)):
            if getattr(self, key) not in words:
                raise ConfigError(f"no {key} {getattr(self, key)!r}", "one of " + ", ".join(words))
        _check_suffix(self.suffix, patched=self.series != "none")
        if not NAME.fullmatch(self.name) or self.name == "go":
            raise ConfigError(
                f"{self.name!r} cannot be a formula's name", "lower-case words, such as go-acme; never go itself"
            )
        if self.extends not in ("", "stock"):
            raise ConfigError(f"the setting extends is {self.extends!r}", "stock, the only series that can be extended")
        for key, needless in (("extends", ("stock", "none")), ("without", ("none",))):
            if getattr(self, key) and self.series in needless:
                raise ConfigError(f"the setting {key} means nothing for the series {self.series}", "--series FOLDER")
        for key, words in (("extra", self.extras), ("without", self.left_out)):
            if unfit := [word for word in words if not PATCH.fullmatch(word)]:
                raise ConfigError(
                    f"the setting {key} has {unfit[0]!r}, which is no patch's name",
                    "names with commas between them, such as osinit-trace,toolchain-guard",
                )
        for key in ("index_url", "base_url"):
            _check_url(key, getattr(self, key))
        if "@" in urlsplit(self.shared_store).netloc:
            # Not repeated: it may be a password.
            raise ConfigError("the setting shared_store holds credentials", "the variables that fsspec's backend reads")
        _check_signing(self)

    @classmethod
    def of(cls, *layers: Mapping[str, object]) -> "Settings":
        """Lays mappings over the defaults, later ones over earlier ones; a None is passed over."""
        kinds = {entry.name: entry.type for entry in fields(cls)}
        chosen: dict[str, object] = {}
        for key, value in (item for layer in layers for item in layer.items()):
            if key not in kinds:
                raise ConfigError(f"unknown setting {key!r}", did_you_mean(str(key), kinds))
            if value is not None and (value != "" or key in MAY_BE_EMPTY):
                chosen[key] = _convert(key, value, kinds[key])
        return cls(**chosen)  # type: ignore[arg-type]  # each value was converted to its field's type above

    @property
    def for_target(self) -> Target:
        """The target, parsed."""
        return Target.parse(self.target)

    @property
    def extras(self) -> tuple[str, ...]:
        """The names in `extra`, each once."""
        return _names(self.extra)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The names in `without`, each once."""
        return _names(self.without)

    @property
    def by_profile(self) -> Profile:
        """The profile, looked up."""
        return PROFILES[self.profile]


def _names(text: str) -> tuple[str, ...]:
    """Names with commas between them, each once."""
    words = (word.strip() for word in text.split(","))
    return tuple(dict.fromkeys(words)) if text.strip() else ()


def _convert(key: str, value: object, kind: object) -> object:
    if kind is bool:
        if isinstance(value, bool):
            return value
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
        if str(value).lower() in words:
            return words[str(value).lower()]
        raise ConfigError(f"the setting {key} is {value!r}", "true or false")
    if key == "go" and isinstance(value, float):
        # YAML reads 1.20 as 1.2: a version must be a string there, and guessing would build another Go.
        said = f"{value}0" if re.fullmatch(r"\d+\.\d", str(value)) else value
        raise ConfigError(
            f"the setting go is the number {value!r}, and YAML takes 1.20 for 1.2", f'quotes: go: "{said}"'
        )
    if not isinstance(value, (str, Path, int)):
        raise ConfigError(f"the setting {key} is {value!r}", "a plain word or path")
    if kind is not Path:
        return str(value)
    try:
        return Path(str(value)).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"the setting {key} is {str(value)!r}: {error}", "a path") from error


def _check_suffix(suffix: str, *, patched: bool) -> None:
    filled = suffix.replace("{id}", "p0")
    if filled and not SUFFIX.fullmatch(filled):
        raise ConfigError(
            f"the suffix {suffix!r} is not made of lower-case letters, digits and dots", "one such as acme.1.{id}"
        )
    if re.search("rc|beta", filled):
        raise ConfigError(
            f"the suffix {suffix!r} holds rc or beta, which actions/setup-go takes for a prerelease", "another word"
        )
    if not suffix and patched:
        raise ConfigError(
            "a patched toolchain needs a suffix: without one it shares upstream's build cache",
            "give --suffix, or build unpatched by --series none",
        )


def _check_url(key: str, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"the setting {key} is no URL: {url!r}", "https://...") from error
    if url and (parts.scheme not in ("https", "http", "file") or re.search(r"[\s\"'\\]|[^\x20-\x7e]", url)):
        raise ConfigError(f"the setting {key} is no URL: {url!r}", "https://..., without spaces or quotes")
    if "@" in parts.netloc and key not in WITH_CREDENTIALS:
        # Not repeated: what stands there is a name and a password, and would get into logs, argv and manifests.
        raise ConfigError(
            f"the URL in the setting {key} holds credentials", "a URL without a name and a password in it"
        )


def _check_signing(settings: Settings) -> None:
    """Refuses what cannot be signed so. No message repeats a value that may be a password in the wrong place."""
    by_file, by_identity = KEY_FILE.fullmatch(settings.sign), settings.sign.startswith(IDENTITY)
    if settings.sign not in ("linker", "ad-hoc") and not by_file and not settings.sign.removeprefix(IDENTITY).strip():
        raise ConfigError("the setting sign names no identity", "identity:NAME, as the keychain has it")
    if settings.sign not in ("linker", "ad-hoc") and not by_file and not by_identity:
        raise ConfigError(
            f"the setting sign is {settings.sign!r}", "one of linker, ad-hoc, FILE.p12, FILE.pem, identity:NAME"
        )
    if settings.sign != "linker" and settings.for_target.goos != "darwin":
        raise ConfigError(f"programs for {settings.target} are not signed", "--sign for darwin targets only")
    for wanted, keys, hint in (
        (by_file, ("sign_password_env", "sign_password_file"), "--sign FILE.p12, or FILE.pem"),
        (by_file or by_identity, ("timestamp_url",), "--sign FILE.p12, or identity:NAME"),
        (by_identity, ("notarize",), "--sign identity:NAME, on a Mac"),
        (settings.sign != "linker", ("entitlements",), "--sign ad-hoc, or with a certificate"),
    ):
        for key in keys:
            if getattr(settings, key) and not wanted:
                raise ConfigError(f"the setting {key} means nothing for this way to sign", hint)
    if settings.sign_password_env and settings.sign_password_file:
        raise ConfigError("two places for one password", "--sign-password-env, or --sign-password-file")
    if settings.sign_password_env and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", settings.sign_password_env):
        raise ConfigError("the setting sign_password_env is no variable's name", "the name of it, never the password")
    if settings.timestamp_url not in ("", "apple"):
        _check_url("timestamp_url", settings.timestamp_url)
    if settings.notarize and not settings.timestamp_url:
        raise ConfigError("Apple notarizes only what has a timestamp", "--timestamp-url apple")
