"""Databases in every form, damaged in every way, and asked for over HTTP: refused with a reason, or the same answer."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from goserver import answering
from vulns_fixtures import DATE, lay_out, pack, real_reports, subject, toy_report

from gobuild.core.errors import ConfigError, FetchError
from gobuild.fetch.http import fetch_document
from gobuild.vulns import mirror, status
from gobuild.vulns.database import VulnerabilityDatabase, open_database, own_table
from gobuild.vulns.status import assess


def opens(path: Path, **more: Any) -> list[str]:
    """The ids that are open by a database."""
    return sorted(assess(open_database(path), subject(**more)).open)


def flat(folder: Path) -> Path:
    """The same without an index, as golang/vulndb's data/osv is."""
    shutil.rmtree(folder / "index")
    return folder


def one_file(folder: Path) -> Path:
    documents = [json.loads(path.read_text()) for path in sorted((folder / "ID").iterdir())]
    (folder / "all.json").write_text(json.dumps(documents))
    return folder / "all.json"


FORMS: dict[str, Callable[[Path], Path]] = {
    "layout": lambda folder: folder,
    "flat": flat,
    "zip": lambda folder: pack(folder, folder.with_suffix(".zip")),
    "zip in a folder": lambda folder: pack(folder, folder.with_suffix(".zip"), "vulndb-main/"),
    "list": one_file,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_real_database_gives_the_same_answer(tmp_path: Path, form: str) -> None:
    path = FORMS[form](lay_out(tmp_path / "db", real_reports()))
    for version in ("1.22.10", "1.26.6", "1.27rc1"):
        assert opens(path, version=version) == sorted(assess(own_table(), subject(version)).open)
    assert open_database(path).day == ("2026-09-01" if "layout" in form or "zip" in form else "an unknown day")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> VulnerabilityDatabase:
    """Gobuild's own table, as if it held every twelfth report."""
    reports = {name: each for at, (name, each) in enumerate(own_table().reports.items()) if at % 12 == 0}
    table = VulnerabilityDatabase(source="a part of gobuild's own table", date=own_table().date, reports=reports)
    monkeypatch.setattr(status, "own_table", lambda: table)
    return table


def spoil_bytes(chance: random.Random, path: Path) -> None:
    """Changes, drops, doubles or cuts off bytes, or removes or empties the file."""
    content, at = bytearray(path.read_bytes()), 0
    at = chance.randrange(len(content))
    how = chance.randrange(7)
    if how == 0:
        path.unlink()
        return
    if how == 1:
        content[at] ^= 1 << chance.randrange(8)
    elif how == 2:
        del content[at]
    elif how == 3:
        content[at:at] = content[at : at + chance.randrange(20)]
    elif how == 4:
        del content[at:]
    elif how == 5:
        content[at] = chance.choice(b'0123456789abz{}[]",:')
    path.write_bytes(b"" if how == 6 else content)


def spoil_json(chance: random.Random, path: Path) -> None:
    """Drops, renames or changes one of the keys or items, wherever it stands, in JSON that stays JSON."""
    document = json.loads(path.read_bytes())
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            places.append((value, key))
            if isinstance(each, (dict, list)):
                walk(each)

    walk(document)
    value, key = chance.choice(places)
    how = chance.randrange(4)
    if how == 0:
        del value[key]
    elif how == 1 and isinstance(value, dict):
        value[f"{key}x"] = value.pop(key)
    elif how == 2:
        value[key] = chance.choice([None, 0, "", "x", [], {}, "0", "1.0.0", "windows", True])
    else:
        other, place = chance.choice(places)
        value[key] = deepcopy(other[place])
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("form", ["layout", "flat", "zip", "list"])
def test_no_damage_makes_an_answer_milder(tmp_path: Path, few: VulnerabilityDatabase, form: str) -> None:
    real = [each for each in real_reports() if each["id"] in few.reports]
    chance, ends = random.Random(f"16 {form}"), {"refused": 0, "the same": 0, "more": 0}
    true = {target: set(assess(few, subject(target=target)).open) for target in ("linux/amd64", "windows/amd64")}
    assert len(true["windows/amd64"]) > 5
    for number in range(250):
        folder = lay_out(tmp_path / f"{number}", real)
        spoil = chance.choice([spoil_bytes, spoil_json])
        path = None
        if form == "list" or (form == "zip" and spoil is spoil_bytes):
            path = FORMS[form](folder)
            spoil(chance, path)
        else:
            spoil(chance, chance.choice(sorted(folder.rglob("*.json"))))
        try:
            path = path or FORMS[form](folder)
            database = open_database(path)
        except ConfigError:
            ends["refused"] += 1
            continue
        for target, wanted in true.items():
            there = set(assess(database, subject(target=target)).open)
            assert there >= wanted, f"{number}: {spoil.__name__} loses {wanted - there}"
            ends["the same" if there == wanted else "more"] += 1
        shutil.rmtree(folder)
    assert min(ends["refused"], ends["the same"]) > 20, ends


FOREIGN: dict[str, tuple[Any, str]] = {
    "another ecosystem": (toy_report(affected=[{"package": {"name": "stdlib", "ecosystem": "PyPI"}}]), "ecosystem"),
    "another scheme": ({"cve": "CVE-2025-1"}, "no id of Go's database"),
    "third parties alone": (toy_report(module="golang.org/x/net"), "no report in it concerns"),
    "a key that is not known": (toy_report(imports=[{"path": "os", "gooz": ["windows"]}]), "gooz"),
    "a system that is not known": (toy_report(imports=[{"path": "os", "goos": ["windowz"]}]), "windowz"),
    "no range": (toy_report(affected=[{"package": {"name": "stdlib", "ecosystem": "Go"}}]), "no key ranges"),
    "no event": (toy_report(events=[]), "take turns"),
    "events of another kind": (toy_report(events=[{"last_affected": "1.22.0"}]), "last_affected"),
    "two beginnings": (toy_report(events=[{"introduced": "0"}, {"introduced": "1.22.0"}]), "take turns"),
    "a fix at the beginning": (toy_report(events=[{"introduced": "1.2.0"}, {"fixed": "1.2.0"}]), "begins and ends"),
    "no version": (toy_report(events=[{"introduced": "0"}, {"fixed": "1.22"}]), "no semantic version"),
    "a time that is none": (toy_report(withdrawn="soon"), "soon"),
    "a name with more in it": (toy_report(imports=[{"path": "os\x1b[2J"}]), "imports.path"),
    "an address of another kind": (toy_report(references=[{"type": "FIX", "url": "javascript:x"}]), "the address"),
    "twice the same": ([toy_report(), toy_report()], "twice"),
}


@pytest.mark.parametrize("why", FOREIGN)
def test_what_is_not_gos_database_is_refused_with_a_reason(tmp_path: Path, why: str) -> None:
    document, words = FOREIGN[why]
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError) as caught:
        open_database(tmp_path / "x.json")
    assert words in caught.value.reason
    assert "--db" in caught.value.hint
    assert "\x1b" not in caught.value.reason


def test_an_index_and_its_reports_must_agree(tmp_path: Path) -> None:
    def refused(name: str, edit: Callable[[Path], object]) -> str:
        edit(folder := lay_out(tmp_path / name, [toy_report(), toy_report("GO-2099-0002")]))
        with pytest.raises(ConfigError) as caught:
            open_database(folder)
        return caught.value.reason

    one = Path("ID/GO-2099-0001.json")
    assert "there is no such report" in refused("gone", lambda db: (db / one).unlink())
    assert "it is GO-2099-0002" in refused("other", lambda db: shutil.copy(db / "ID/GO-2099-0002.json", db / one))
    old = toy_report(modified="2026-08-01T00:00:00Z")
    assert "by the index of 2026-09-01" in refused("old", lambda db: (db / one).write_text(json.dumps(old)))
    third = toy_report(module="example.org/x")
    assert "neither stdlib nor" in refused("third", lambda db: (db / one).write_text(json.dumps(third)))
    assert "no report on stdlib" in refused("empty", lambda db: lay_out(db, [third]))
    twice = json.dumps(json.loads((lay_out(tmp_path / "x", [third]) / "index/modules.json").read_text())[:1] * 2)
    assert "toolchain twice" in refused("twice", lambda db: (db / "index/modules.json").write_text(twice))
    assert "its index is not" in refused("no form", lambda db: (db / "index/db.json").write_text("[]"))
    with pytest.raises(ConfigError, match="no such file"):
        open_database(tmp_path / "nowhere")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ConfigError, match="no index"):
        open_database(tmp_path / "nothing")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A real server of a database's folder: its address, the folder, and what it was asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    folder = lay_out(tmp_path / "served", [toy_report(f"GO-2099-000{number}") for number in range(1, 6)])
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    with answering(server) as url:
        yield url, folder, asked


def test_a_database_over_http_is_asked_for_what_changed(
    served: tuple[str, Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url, folder, asked = served
    cache = tmp_path / "cache"
    ask = partial(mirror.refresh, url, cache, fetch_document, source=url)
    assert mirror.cached_database(url, cache, source=url) is None
    names = [f"GO-2099-000{number}" for number in range(1, 6)]
    assert list(ask().reports) == names
    index = ["/index/db.json", "/index/modules.json"]
    assert sorted(asked) == sorted([*index, *(f"/ID/{each}.json" for each in names)])
    asked.clear()
    assert (list(ask().reports), asked) == (names, index)
    # Nothing had changed: the index alone. Of what changes later, that report alone.
    later, changed = "2026-09-02T00:00:00Z", toy_report("GO-2099-0003", aliases=["CVE-2099-3"])
    lay_out(
        folder, [*(toy_report(f"GO-2099-000{at}") for at in (1, 2, 4, 5)), changed | {"modified": later}], date=later
    )
    asked.clear()
    assert (ask().reports["GO-2099-0003"].aliases, ask().date) == (("CVE-2099-3",), later)
    assert [each for each in asked if "/ID/" in each] == ["/ID/GO-2099-0003.json"]
    # What is damaged does not take the place of the copy.
    lay_out(folder, [toy_report(modified="2026-09-03T00:00:00Z")], date="2026-09-03T00:00:00Z")
    (folder / "ID/GO-2099-0001.json").write_text(json.dumps(toy_report(modified=later)))
    with pytest.raises(ConfigError, match="by the index of"):
        ask()
    kept = mirror.cached_database(url, cache, source=url)
    assert kept
    assert (len(kept.reports), kept.date) == (5, later)
    (folder / "ID/GO-2099-0001.json").unlink()
    lay_out(folder, [toy_report("GO-2099-0009")], date="2026-09-04T00:00:00Z")
    (folder / "ID/GO-2099-0009.json").unlink()
    with pytest.raises(FetchError, match="404") as caught:
        ask()
    assert caught.value.hint == "--offline, which takes the cache's copy of 2026-09-02"


def test_the_newer_of_own_table_and_the_copy_of_the_official_database_counts(tmp_path: Path) -> None:
    assert mirror.newest_known(tmp_path) is own_table()
    for date, source in (
        ("2026-08-20T00:00:00Z", "gobuild's own table"),
        (DATE, "the cache's copy of https://vuln.go.dev"),
    ):
        folder = lay_out(tmp_path / date, [toy_report()], date=date)

        def get(url: str, folder: Path = folder) -> bytes:
            return (folder / url.removeprefix(f"{mirror.OFFICIAL}/")).read_bytes()

        found = mirror.refresh(mirror.OFFICIAL, tmp_path / "cache", get, source="it")
        assert found.date == date
        assert mirror.newest_known(tmp_path / "cache").source == source
