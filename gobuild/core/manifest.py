"""The manifest, ``gobuild.json``: what a toolchain was made from, by what, and how it was checked.

Two documents of one schema, which the README documents key by key. `InnerManifest` stands in the toolchain and says
only what decides its bytes: not the bootstrap toolchain, the building machine, the target or the time, so that two
machines make the same archives, and one source archive serves all targets. `Manifest`, beside them, says everything.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import GenericAlias
from typing import Any, NoReturn, TypeVar, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from gobuild.core.errors import GobuildError, PackageError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.model import Check, Outcome, Profile, Severity, State, Verdict

NAME = "gobuild.json"
SCHEMA = 1

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """The source, as far as it decides bytes: `tree` is its dirhash before it was patched."""

    kind: str
    tree: str
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOrigin(SourceTree):
    """The source, and where it came from: see `gobuild.core.model.Release` and `Source`."""

    origin: str
    location: str
    digest: str
    newer: GoVersion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapOrigin:
    """The Go toolchain that the build started from: see `gobuild.core.model.Bootstrap`."""

    version: GoVersion
    origin: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """How it was built: see `gobuild.core.model.Toolchain`."""

    target: Target
    host: Target
    builder: str
    environment: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """One of the archives, by its plain file name."""

    file: str
    kind: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VulnerabilityRecord:
    """A known vulnerability of the release: see `gobuild.vulns.status.VulnerabilityStatus`."""

    id: str
    aliases: tuple[str, ...]
    state: str
    patch: str
    reason: str
    modules: tuple[str, ...] = ()  # "stdlib", "toolchain"; empty where an older gobuild wrote it


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVulnerabilities:
    """The known vulnerabilities of the release when it was built, and by which database."""

    database: str
    date: str
    known: tuple[VulnerabilityRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerManifest:
    """What stands inside a toolchain. Patches that are not for this version are in the outer manifest alone."""

    schema: int = SCHEMA
    stamp: str
    gobuild: str
    release: GoVersion
    source: SourceTree
    patches: tuple[Outcome, ...]
    profile: Profile
    # What the series gave the builder; empty where it gave nothing
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(InnerManifest):
    """What stands beside the archives."""

    source: SourceOrigin
    # Whether the series extends the stock one, and the stock patches that it leaves out
    extends: str = ""
    without: tuple[str, ...] = ()
    # Who signed the programs, and how; empty where they are as Go's linker made them
    signing: dict[str, str] = field(default_factory=dict)
    bootstrap: BootstrapOrigin
    build: BuildRecord
    checks: tuple[Check, ...]
    artifacts: tuple[ArtifactRecord, ...]
    vulnerabilities: KnownVulnerabilities | None = None  # None: a manifest from before they were told
    run: dict[str, Any]  # what the run measured of itself


def archive_names(stamp: str, target: Target) -> dict[str, str]:
    """The files of a build and their kinds, as Go's distpack names them (src/cmd/distpack/pack.go)."""
    module = f"v0.0.1-{stamp}.{target.dashed}"
    return {
        f"{stamp}.{target.dashed}.tar.gz": "toolchain",
        f"{stamp}.src.tar.gz": "source",
        f"{module}.zip": "module",
        f"{module}.mod": "module",
        f"{module}.info": "module",
    }


def to_json(value: object) -> str:
    """A manifest as it is written: two that are equal are the same bytes."""
    return json.dumps(unstructure(value), indent=2, ensure_ascii=False) + "\n"


def read_manifest(path: Path, kind: type[_Kind]) -> _Kind:
    """Reads a manifest of gobuild's own; a `PackageError` where it is damaged or of an unknown schema."""
    try:
        document = load_json(path.read_bytes())
        schema = document["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{path} is no manifest of gobuild's", "build again") from error
    if schema != SCHEMA:
        raise PackageError(f"{path} has schema {schema}, and this gobuild knows {SCHEMA}", "use the newer gobuild")
    try:
        return structure(document, kind)
    except ValueError as error:
        raise PackageError(f"{path} is damaged: {error}", "build again") from error


def load_json(text: bytes) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN; anything else is a `ValueError`."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_number, object_pairs_hook=_unique_keys)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands there twice")
    return document


def structure(document: object, kind: type[_Kind]) -> _Kind:
    """A type of gobuild's from JSON; keys that it does not know are passed over.

    Raises:
        ValueError: what is wrong with it, and where: "it.source.digest is 5".
    """
    try:
        return _converter().structure(document, kind)
    except cattrs.BaseValidationError as error:
        said, _, path = cattrs.transform_error(error, path="it", format_exception=_reason)[0].rpartition(" @ ")
        raise ValueError(f"{path} {said}") from error
    except (GobuildError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"it {_reason(error, None)}") from error


def unstructure(value: object) -> Any:
    """A type of gobuild's as JSON."""
    return _converter().unstructure(value)


def _reason(error: BaseException, _kind: type | None) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, GobuildError):
        return f"is wrong: {error.reason}"
    return str(error) if isinstance(error, ValueError) else "is of another form than gobuild writes"


def shown(text: str) -> str:
    """A text of somebody's for a message: short, and with nothing in it that a terminal would act upon."""
    return ascii(text if len(text) <= 80 else f"{text[:77]}...")


@cache
def _converter() -> cattrs.Converter:
    """One for all: it compiles a function a class, and a report has hundreds of checks."""
    converter = cattrs.Converter()
    for plain in (str, int):
        converter.register_structure_hook(plain, _strict(plain))
    for words in (State, Verdict, Severity):
        converter.register_structure_hook(words, _word)
    converter.register_structure_hook_func(_is_sequence, lambda value, kind: _tuple(converter, value, kind))
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    converter.register_unstructure_hook(Path, str)
    for parsed in (GoVersion, Target):
        converter.register_structure_hook(parsed, lambda value, kind: kind.parse(_strict(str)(value, str)))
        converter.register_unstructure_hook(parsed, str)
    names: Any = {"cgo": override(rename="cgo_enabled"), "says": override(rename="note")}
    converter.register_structure_hook(Profile, make_dict_structure_fn(Profile, converter, **names))
    converter.register_unstructure_hook(Profile, make_dict_unstructure_fn(Profile, converter, **names))
    # Only where a series says so: the manifest in a toolchain without stays the same bytes.
    absent = override(omit_if_default=True)
    outcome = make_dict_unstructure_fn(Outcome, converter, conflict=override(omit=True), fixes=absent, tested=absent)
    converter.register_unstructure_hook(Outcome, outcome)
    omit = override(omit=True)  # a manifest is of a toolchain that passed: problems stand in reports
    check = make_dict_unstructure_fn(Check, converter, problems=omit)
    bare = make_dict_unstructure_fn(Check, converter, severity=omit, reason=omit, problems=omit)
    # Only where a policy decided: a manifest without one stays the same bytes.
    converter.register_unstructure_hook(Check, lambda each: (check if each.reason else bare)(each))
    # Likewise what few toolchains have.
    rare: Any = dict.fromkeys(("signing", "environment", "extends", "without", "vulnerabilities"), absent)
    for kind in (InnerManifest, Manifest):
        converter.register_unstructure_hook(kind, make_dict_unstructure_fn(kind, converter, **rare))
    return converter


def _strict(kind: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(f"is {shown(str(value))}")
        return value

    return hook


def _word(value: Any, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"is {shown(str(value))}") from None


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis


def _tuple(converter: cattrs.Converter, value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError("is no list")
    # As a list: of that cattrs tells the place of what is wrong.
    of_items: Any = GenericAlias(list, get_args(kind)[:1])
    return tuple(converter.structure(value, of_items))
