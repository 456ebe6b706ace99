"""What a run begins with: `Session` (what was asked for), `Prepared` (what that comes to) and `Run` (both, under way).

`prepare` asks the release index and changes nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gobuild import fetch, patch, publish, verify
from gobuild.build import direct
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError, ResolveError
from gobuild.core.goversion import Target
from gobuild.core.model import UNSAID, Catalog, Outcome, Release
from gobuild.core.process import Runner, run
from gobuild.core.settings import Settings
from gobuild.patch.diff.unified import Diff
from gobuild.patch.edits.add_command import AddCommand
from gobuild.pipeline import plan as planning
from gobuild.pipeline.plan import Plan
from gobuild.pipeline.timing import Clock
from gobuild.resolve import FIRST, resolve
from gobuild.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What every run has: what was asked for, where to speak, and what starts processes."""

    settings: Settings
    console: Console = field(default_factory=Console)
    run: Runner = run


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What is known once the release is resolved, before anything is fetched."""

    settings: Settings
    plan: Plan
    reached: fetch.SelectedOrigin
    series: patch.Series
    patches: tuple[patch.Patch, ...]  # those of the series that this build gets
    absent: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A build under way: what every stage is given."""

    session: Session
    prepared: Prepared
    clock: Clock
    store: Store

    @property
    def plan(self) -> Plan:
        """Where everything goes."""
        return self.prepared.plan


def reached_origin(session: Session) -> fetch.SelectedOrigin:
    """The first origin that answers."""
    settings = session.settings
    asked = fetch.origins(settings, run=session.run, console=session.console)
    return fetch.first_reachable(asked, fallback=not settings.no_fallback)


def prepare(session: Session, *, delivered: bool = True, reached: fetch.SelectedOrigin | None = None) -> Prepared:
    """Resolves the release and lays out the build. Asks the release index, changes nothing.

    What is to be delivered must not call itself what it is not. `reached` is the origin that has answered for the same
    source and the same word for Go, where one was asked already.
    """
    settings = session.settings
    verify.load_policy(settings.policy)  # one that cannot be used is refused before any work
    series = patch.series_of(settings)
    reached = reached or reached_origin(session)
    try:
        release = resolve(settings.go, reached.catalog, known=fetch.known_versions())
    except ResolveError as error:
        raise reached.explain(error) from None
    if announcement := reached.announce(release):
        session.console.warn(announcement)
    _refuse(settings, release, reached.catalog, delivered=delivered)
    patches = series.select(release.version, settings.for_target, settings.profile, settings.extras)
    stamp = patch.stamp(
        release.version,
        suffix=settings.suffix,
        identity=reached.catalog.identity,
        patches=patches,
        profile=settings.by_profile,
        environment=series.environment,
    )
    host = Target.host()
    plan = planning.plan(
        settings,
        release,
        host=host,
        stamp=stamp,
        why_make=_why_make(settings, release, reached.catalog, host=host, series=series, patches=patches),
        notes=_notes(settings, series, patches, release),
        patches=tuple(each.name for each in patches),
        formula=f"{publish.formula_name(settings.name, release.version)}.rb",
    )
    absent = series.absent(release.version)
    return Prepared(settings=settings, plan=plan, reached=reached, series=series, patches=patches, absent=absent)


def prepare_each(session: Session, lines: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[Settings, Prepared]]:
    """What would be done for each of some lines of Go and each of some targets; the index is asked once a line.

    Yields the settings that ask for this very release and target, and what they come to.
    """
    targets = tuple(targets)
    for line in lines:
        reached = None
        for target in targets:
            settings = replace(session.settings, go=line, target=target)
            prepared = prepare(replace(session, settings=settings), reached=reached)
            reached = prepared.reached
            yield replace(settings, go=str(prepared.plan.release.version)), prepared


def _why_make(
    settings: Settings,
    release: Release,
    catalog: Catalog,
    *,
    host: Target,
    series: patch.Series,
    patches: Sequence[patch.Patch],
) -> str:
    """Why make.bash is to build, as far as that is known before anything is fetched; empty where that is not so.

    Raises:
        ConfigError: the direct builder was asked for by name.
    """
    builder, reason = settings.builder, ""
    if builder == "make.bash":
        return ""
    if catalog.identity not in ("", "wheel"):
        reason = "a source of your own may have another compiler than upstream's"
    elif builder == "auto" and settings.bootstrap:
        reason = "--bootstrap says what to start from"
    elif builder == "auto" and (uncompared := direct.why_uncompared(host, release.version)):
        reason = uncompared
    elif series.environment and not series.direct and builder != "both":
        reason = f"the series gives {', '.join(series.environment)} to the builder, and its [build] not direct = true"
    else:
        reason = next(filter(None, (_not_direct(each, compared=builder == "both") for each in patches)), "")
    if reason and builder != "auto":
        raise ConfigError(f"this cannot be built directly: {reason}", "--builder make.bash")
    return reason


def _not_direct(each: patch.Patch, *, compared: bool) -> str:
    """Why a patch cannot be built directly, by the names of its files; unless it is `compared` with make.bash."""
    if isinstance(each.operation, AddCommand):
        return f"the patch {each.name} adds a program"
    names = each.operation.names if isinstance(each.operation, Diff) else ()
    return direct.why_not_by_names(each.name, names, proven=each.direct or compared)


def _notes(
    settings: Settings, series: patch.Series, patches: Sequence[patch.Patch], release: Release
) -> tuple[str, ...]:
    """What a person should know of a series besides its patches."""
    said = ["the stock patches come first"] * bool(series.extends)
    said += [f"left out of the stock series: {', '.join(series.without)}"] * bool(series.without)
    if settings.series not in ("stock", "none") and not series.extends:
        stock = patch.load_series("stock").select(release.version, settings.for_target, settings.profile)
        own = {each.name for each in series.patches}
        if without := [each.name for each in stock if each.name not in own]:
            said.append(f"the series does not extend the stock one: without {', '.join(without)} (--extends stock)")
    if given := " ".join(f"{name}={value}" for name, value in series.environment.items()):
        said.append(f"the builder is given {given}")
    if unsaid := [each.name for each in patches if each.reason.startswith(UNSAID)]:
        said.append(f"nobody has said yet why there is {', '.join(unsaid)}: its reason, which publish asks for")
    return tuple(said)


def _refuse(settings: Settings, release: Release, catalog: Catalog, *, delivered: bool) -> None:
    """Refuses what could only fail later, or deceive."""
    for folder in (settings.work.absolute(), settings.cache.absolute()):
        # -trimpath is a list "FROM=>TO;FROM=>TO" (cmd/internal/objabi's ApplyRewrites), and nothing is quoted in it.
        if ";" in str(folder) or "=>" in str(folder):
            raise ConfigError(f"Go's -trimpath cannot cope with the path {folder}", "folders without ; and => in them")
        if ":" in str(folder):  # GOPATH is a list; Finder shows such a name with a slash
            raise ConfigError(f"Go takes the path {folder} for several", "--work and --cache without : in them")
    if release.version < FIRST:
        raise ConfigError(
            f"{release.version.tag} is older than {FIRST}, which first had distpack and go.env", "a newer --go"
        )
    if delivered and not settings.suffix and catalog.identity not in ("", "wheel"):
        raise ConfigError(
            "a source of your own needs a suffix: without one it would call itself as upstream's release",
            "--suffix, such as acme.1.{id}",
        )
