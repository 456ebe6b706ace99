"""What a build would come to: by which builder, whether the store has it, how long it takes. Changes nothing."""

from collections.abc import Mapping
from typing import Any

from gobuild.core.console import amount, clock
from gobuild.pipeline.session import Prepared, Session
from gobuild.pipeline.toolchain_cache import BUILDERS, KIND, answering_keys
from gobuild.store import StoreEntry, list_entries, open_store


def forecast(session: Session, prepared: Prepared) -> list[tuple[str, str]]:
    """The builder and the store's answer, each in a sentence. A store that a team shares is not asked."""
    settings = prepared.settings
    held = [entry for entry, _ in list_entries(open_store(settings, session.console.warn).folder) if entry.kind == KIND]
    wanted = answering_keys(prepared)
    found = None if settings.fresh else next((entry for entry in held if entry.key in wanted), None)
    rows = [("builder", _builder(prepared))]
    if found:
        return [*rows, ("store", f"has it since {found.made[:10]}, {_cost(found)}: a build takes it from there")]
    alike = [entry for entry in held if entry.facts.get("target") == settings.target]
    latest = max(alike, key=lambda each: each.made, default=None)
    before = f"; the last build for {settings.target}: {_cost(latest)}" if latest else ""
    missed = "is not asked (--fresh)" if settings.fresh else "does not have it"
    return [*rows, ("store", missed + before)]


def _builder(prepared: Prepared) -> str:
    """Which builder, and why; what only the patched source tells is said as a condition."""
    builder, plan = prepared.settings.builder, prepared.plan
    if builder == "both":
        return "make.bash and direct, one after the other; the build fails if a byte differs"
    reason = "" if builder == "make.bash" else plan.why_make
    if builder == "make.bash" or reason:
        return f"make.bash: {reason or '--builder make.bash'}"
    sooner = f"direct: upstream's Go {plan.release.version} for {plan.host} makes the same bytes sooner"
    if builder == "direct":
        return sooner
    return f"{sooner}; make.bash where that Go cannot be fetched, or a patch changes how Go is built"


def _cost(entry: StoreEntry) -> str:
    run: Mapping[str, Any] = entry.facts.get("run") or {}
    # The builders and distpack are inside of the stages.
    inside = {"direct tools", "distpack", *BUILDERS}
    spent = sum(seconds for name, seconds in run.get("seconds", {}).items() if name not in inside)
    return f"built in {clock(spent)}, {amount(entry.size)}" if spent else amount(entry.size)
