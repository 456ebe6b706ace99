"""Which vulnerabilities a release has, by the rules of the database; which are open in what was made of it."""

import itertools
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scanner_rules import concerns
from vulns_fixtures import Osv, real_reports, subject, toy_report

from gobuild.audit.exposure import of_path
from gobuild.binary import elf
from gobuild.binary.pclntab import read_pclntab
from gobuild.binary.view import opened
from gobuild.core.goversion import GoVersion
from gobuild.core.model import Outcome, State
from gobuild.vulns.database import VulnerabilityDatabase, own_table
from gobuild.vulns.facts import parse_report
from gobuild.vulns.ranges import semver, semver_key, span_of, spans
from gobuild.vulns.status import Exposure, assess, fixes_of
from gobuild.vulns.support import support_of

IN_ORDER = (
    *("0", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
    *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.22.0-0", "1.22.0-beta.1", "1.22.0-rc.2", "1.22.0-rc.10", "1.22.0"),
    *("1.22.2", "1.22.10", "1.100.0"),
)
"""semver.org's own example, and Go's releases."""


def database(*reports: Osv) -> VulnerabilityDatabase:
    parsed = [each for each in map(parse_report, reports) if each]
    return VulnerabilityDatabase(source="a toy", date="2026-09-01", reports={each.id: each for each in parsed})


def state(report: Osv, **more: Any) -> str:
    (found,) = assess(database(report), subject(**more)).statuses
    return found.state


def test_versions_are_in_the_order_of_semver() -> None:
    for one, two in pairwise(IN_ORDER):
        assert semver_key(one) < semver_key(two)
    for go, text in (("go1.22rc1", "1.22.0-rc.1"), ("1.20", "1.20.0"), ("1.9beta2", "1.9.0-beta.2")):
        assert semver(GoVersion.parse(go)) == text


@pytest.mark.parametrize(
    "text", ["", "1.22", "v1.22.0", "1.22.0-", "1.22.0-rc.01", "01.2.3", "1.2.3+x", "1.2.٣", "1.2.3\n"]
)
def test_what_is_no_semantic_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"semantic version|begins with 0"):
        semver_key(text)


def test_a_range_begins_with_its_first_version_and_ends_before_its_fix() -> None:
    among = spans([("fixed", "1.23.8"), ("introduced", "1.24.0-0"), ("introduced", "0"), ("fixed", "1.24.2")])
    assert among == (("0", "1.23.8"), ("1.24.0-0", "1.24.2"))
    held = {"1.0.0": 0, "1.23.7": 0, "1.24.0-rc.1": 1, "1.24.1": 1}
    for version in (*held, "1.23.8", "1.23.9", "1.24.2", "1.25.0"):
        assert span_of(version, among) == (among[held[version]] if version in held else None)
    assert span_of("9.0.0", spans([("introduced", "1.0.0")])) == ("1.0.0", "")


COUNTS = {
    **{"1.21.13": (58, 11), "1.22.10": (55, 11), "1.22.12": (52, 11), "1.23.12": (45, 10), "1.24.11": (33, 10)},
    **{"1.25.5": (33, 11), "1.26.6": (0, 0)},
}
"""Reports on the standard library and on the toolchain, counted in August 2026 from all 199 (facts/go.md)."""


@pytest.mark.parametrize("version", COUNTS)
def test_the_counts_are_those_of_the_database(version: str) -> None:
    found = assess(own_table(), subject(version)).statuses
    assert (
        tuple(sum(each.modules[0] == module for each in found) for module in ("stdlib", "toolchain")) == COUNTS[version]
    )


def test_every_release_and_target_is_as_govulncheck_has_it() -> None:
    reports = real_reports()
    assert len(reports) == 199
    versions = [f"1.{minor}{patch}" for minor in range(15, 28) for patch in ("rc1", "rc3", ".0", ".1", ".7", ".12")]
    for version, target in itertools.product(versions, ("darwin/arm64", "linux/amd64", "windows/amd64", "js/wasm")):
        told = semver(GoVersion.parse(version))
        found = assess(own_table(), subject(version, target))
        assert [each.report.id for each in found.statuses] == [each["id"] for each in reports if concerns(each, told)]
        assert list(found.open) == [each["id"] for each in reports if concerns(each, told, *target.split("/"))]


def test_only_where_it_is_at_fault() -> None:
    windows = toy_report(
        imports=[{"path": "os", "goos": ["windows"]}, {"path": "net", "goos": ["js"], "goarch": ["wasm"]}]
    )
    assert state(windows) == "not for this target"
    assert state(windows, target="windows/arm64") == state(windows, target="js/wasm") == "affects"
    assert state(windows, target="js/amd64") == "not for this target"
    assert "3 not for" not in assess(own_table(), subject(target="windows/amd64")).summary


def test_a_patch_fixes_what_it_says_and_nothing_else() -> None:
    fixes = {"mend": ("CVE-2099-1", "GO-2099-9999")}
    found = assess(database(toy_report(), toy_report("GO-2099-0002", aliases=[])), subject(fixes=fixes))
    assert [each.state for each in found.statuses] == ["fixed by patch mend", "affects"]
    assert (found.open[:1], found.unknown) == (("GO-2099-0002",), (("mend", "GO-2099-9999"),))
    assert found.summary == "2 known vulnerabilities, 1 fixed by patches"
    assert state(toy_report(), fixes={"mend": ("GO-2099-0001",)}) == "fixed by patch mend"
    # One report with several fixes counts once; a fix is one only where its change stands in the source.
    outcomes = [
        Outcome(name=each.name.lower(), state=each, reason="", evidence="", sha256="", fixes=("GO-2099-0001",))
        for each in State
    ]
    assert set(fixes_of(tuple(outcomes))) == {"applied", "already_upstream"}


def test_what_was_withdrawn_and_what_is_of_a_vendored_module_alone() -> None:
    day = {"withdrawn": "2026-08-01T00:00:00Z"}
    assert not assess(database(toy_report(**day)), subject()).statuses
    assert state(toy_report(withdrawn="2999-01-01T00:00:00Z")) == "affects"
    other = toy_report()["affected"] + toy_report(module="golang.org/x/net", events=[{"introduced": "0"}])["affected"]
    assert state(toy_report(affected=other)) == "affects"
    assert not assess(database(toy_report(affected=other)), subject("1.22.12")).statuses
    assert parse_report(toy_report(module="golang.org/x/net")) is None
    # Two entries for one module, each with a range and a platform of its own.
    two = (
        toy_report(imports=[{"path": "os", "goos": ["windows"]}])["affected"]
        + toy_report(imports=[{"path": "os", "goos": ["linux"]}], events=[{"introduced": "1.22.11"}])["affected"]
    )
    assert state(toy_report(affected=two)) == "not for this target"
    assert state(toy_report(affected=two), version="1.22.11") == "affects"


def test_what_own_table_has_open_is_told_where_another_database_lacks_it() -> None:
    (one, *rest) = own_table().reports.values()
    assert assess(own_table(), subject("1.16")).disputed == ()
    for changed, disputed in (
        ({}, ()),
        ({"affected": toy_report(events=[{"introduced": "1.26.0"}])["affected"]}, (one.id,)),
        ({"affected": toy_report(imports=[{"path": "archive/zip", "goos": ["plan9"]}])["affected"]}, (one.id,)),
        ({"withdrawn": "2026-08-22T00:00:00Z"}, ()),
        (
            {"affected": toy_report(events=[{"introduced": "1.26.0"}])["affected"], "modified": "2026-08-22T00:00:00Z"},
            (),
        ),
    ):
        mine = next(each for each in real_reports() if each["id"] == one.id) | changed
        parsed = parse_report(mine)
        assert parsed
        found = assess(
            VulnerabilityDatabase(source="a", date="", reports={each.id: each for each in (parsed, *rest)}),
            subject("1.16"),
        )
        assert (found.disputed, one.id in found.open) == (disputed, changed == {} or bool(disputed))


def test_a_program_has_what_is_linked_into_it(go_wheel: Path, darwin_wheel: Path, tmp_path: Path) -> None:
    def states(path: Path) -> dict[str, Exposure]:
        ((asked, _),) = of_path(path, target=None, dist=tmp_path, series=())
        assert asked.version == GoVersion.parse("1.22.10")
        return {each.report.id: each.exposure for each in assess(own_table(), asked).statuses}

    for root in (go_wheel, darwin_wheel):
        go, gofmt, whole = states(root / "bin/go"), states(root / "bin/gofmt"), states(root)
        assert len(go) == len(gofmt) == len(whole) == 66
        assert Exposure.NOT_SHIPPED not in whole.values()
        # net/http, which only the go command has; cmd/go itself; go/parser has none in 1.22.10. What the compiler gets
        # wrong is in every program.
        for name in ("GO-2025-3563", "GO-2026-6179"):
            assert (go[name], gofmt[name]) == (Exposure.AFFECTS, Exposure.NOT_SHIPPED)
        for name in ("GO-2026-4867", "GO-2026-4868"):
            assert go[name] == gofmt[name] == whole[name] == Exposure.AFFECTS


def test_of_a_program_whose_functions_have_no_names_all_may_be_linked_in(go_wheel: Path, tmp_path: Path) -> None:
    with opened(go_wheel / "bin/gofmt") as view:
        names = read_pclntab(view, elf.read_elf(view).places[".gopclntab"]).names
        spoilt = view.data[: names.offset] + bytes(names.size) + view.data[names.end :]
    (tmp_path / "gofmt").write_bytes(spoilt)
    ((asked, _),) = of_path(tmp_path / "gofmt", target=None, dist=tmp_path, series=())
    assert asked.packages is None


def test_an_internal_package_counts_wherever_its_surroundings_are_linked() -> None:
    moved = toy_report(imports=[{"path": "crypto/internal/fips140/nistec"}])
    assert state(moved, packages=frozenset({"runtime", "crypto/elliptic"})) == "affects"
    assert state(moved, packages=frozenset({"runtime", "cryptography"})) == "not in what ships"
    assert state(toy_report(imports=[{"path": "net/http/internal"}]), packages=frozenset({"net/http"})) == "affects"
    assert state(toy_report(imports=[{"path": "internal/safefilepath"}]), packages=frozenset({"os"})) == "affects"
    assert state(toy_report(imports=[]), packages=frozenset({"runtime"})) == "affects"


def test_a_newer_patch_release_is_told_and_a_release_that_the_database_is_too_old_for() -> None:
    assert assess(own_table(), subject()).newer == ("1.22.12", 63)
    assert assess(own_table(), subject("1.22.12")).newer is None
    assert "tells of no Go this new" in assess(own_table(), subject("1.27.3")).line
    assert "this new" not in assess(own_table(), subject("1.26.6")).line


def test_a_line_gets_fixes_until_there_are_two_newer_ones() -> None:
    ended = support_of(GoVersion.parse("1.22.10"))
    assert str(ended) == "Go 1.22 gets no fixes any more, since 1.24 came on 2025-02-11"
    served = support_of(GoVersion.parse("1.26.6"))
    assert str(served) == "Go 1.26 gets fixes until 1.28 comes, by https://go.dev/doc/devel/release of 2026-08-21"
    assert support_of(GoVersion.parse("1.40.0")) is None
    assert "since 1.17 came on 2021-08-16" in str(support_of(GoVersion.parse("1.15.15")))


def test_an_answer_takes_less_than_a_second() -> None:
    """Of the processor's time, the table read anew."""
    begun = time.process_time()
    table = own_table.__wrapped__()
    assert len(assess(table, subject()).statuses) == 66
    assert time.process_time() - begun < 1
