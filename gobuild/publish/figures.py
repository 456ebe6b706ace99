"""Charts of a release: its offers and the older ones come in, bars and the same in words go out. It draws nothing."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gobuild.core.console import amount, clock
from gobuild.publish.shelf import Offer, Shelf

WIDEST = 190
"""Units of a chart's longest bar."""


def compare(shelf: Shelf, offers: Sequence[Offer]) -> tuple[list[dict[str, Any]], str]:
    """Charts of build time and size, each beside the release before it that runs on the same target."""
    stamps = list(shelf.releases)
    older = stamps[stamps.index(offers[0].stamp) + 1 :]
    pairs = []
    for offer in offers:
        before = [each for stamp in older for each in shelf.releases[stamp] if each.target == offer.target]
        pairs.append((offer, before[0] if before else None))
    charts = [
        _figure("Build time of make.bash", pairs, _seconds, clock),
        _figure("Size of the toolchain's archive", pairs, lambda offer: float(offer.one("toolchain").size), _bytes),
    ]
    against = {before.stamp for _, before in pairs if before}
    if against:
        say = f"Beside {', '.join(sorted(against))}. Times are of the machines that built, which need not be the same."
    else:
        say = "There is no older release here for the same target to set beside it."
    return [chart for chart in charts if chart["bars"]], say


def _seconds(offer: Offer) -> float:
    seconds = offer.document["run"]["seconds"]
    return float(seconds.get("make.bash", seconds.get("build", 0)))


def _bytes(size: float) -> str:
    return amount(int(size))


def _figure(
    title: str,
    pairs: Iterable[tuple[Offer, Offer | None]],
    measure: Callable[[Offer], float],
    shown: Callable[[float], str],
) -> dict[str, Any]:
    """A chart's bars, and the same in words."""
    rows, words = [], []
    for offer, before in pairs:
        now, then = measure(offer), measure(before) if before else 0.0
        if not now:
            continue
        rows.append((f"{offer.target}, this release", now, True))
        if before and then:
            rows.append((f"{offer.target}, before", then, False))
            words.append(f"{offer.target}: {shown(now)}, before {shown(then)} ({(now - then) / then:+.1%})")
        else:
            words.append(f"{offer.target}: {shown(now)}")
    longest = max((value for _, value, _ in rows), default=1.0)
    bars = [
        {"label": label, "value": shown(value), "this": this, "width": max(1, round(WIDEST * value / longest))}
        for label, value, this in rows
    ]
    return {"title": title, "text": "; ".join(words), "bars": bars}
