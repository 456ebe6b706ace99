"""A GitHub Actions workflow that builds, verifies and publishes by itself.

Secrets are in the environment of the steps that use them, and of no other. It was linted, and never run: there is no
GitHub here.
"""

import json
import re
import shlex
from collections.abc import Sequence
from urllib.parse import urlsplit

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.render import render
from gobuild.core.settings import GROUPS, Settings

_CRON = re.compile(r"([0-9*/,-]+ ){4}[0-9*/,-]+")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,100}")
_REQUIREMENT = re.compile(r"[A-Za-z0-9.][A-Za-z0-9._/@+:=<>~,\[\]-]{0,200}")


def render_workflow(
    settings: Settings, *, lines: Sequence[str], targets: Sequence[str], cron: str, branch: str, requirement: str
) -> str:
    """Renders the workflow; the words are those of the flags of `ci.workflow`.

    Raises:
        ConfigError: no base_url, by which it finds out what is published; or a word that may not stand in it.
    """
    if not lines or not targets:
        raise ConfigError("a workflow needs a line of Go and a target", "--lines stable --targets darwin/arm64")
    for line in lines:
        if line not in ("stable", "oldstable"):
            GoVersion.parse(line)
    for target in targets:
        Target.parse(target)
    if not settings.base_url.startswith("https://"):
        raise ConfigError("a workflow must know where the tree is served", "--base-url https://...")
    for what, rule, value in (
        ("cron line", _CRON, cron),
        ("branch", _BRANCH, branch),
        ("requirement", _REQUIREMENT, requirement),
    ):
        if not rule.fullmatch(value):
            raise ConfigError(f"{value!r} is no {what} that can stand in a workflow", "plain letters and digits")
    patches = {key: str(getattr(settings, key)) for key in GROUPS["Patches"]}
    for word in (settings.base_url, settings.source, *patches.values()):
        if "${{" in word:
            raise ConfigError(f"{word!r} would be an expression in a workflow", "a word without ${{")
    if urlsplit(settings.source.removeprefix("git+")).password:
        raise ConfigError(
            "a password in a URL would stand in the workflow for everybody to read",
            "the URL without it; the workflow's runner asks git's credential helper",
        )
    return render(
        "workflow.yml.j2",
        filters={"yaml": json.dumps, "shell": shlex.quote},  # JSON's strings are YAML's
        base_url=settings.base_url.rstrip("/"),
        name=settings.name,
        # By name: nobody is there at night to read that a second choice was made.
        source="archive" if settings.source == "auto" else settings.source,
        patches={key: value for key, value in patches.items() if value},
        lines=",".join(lines),
        targets=",".join(targets),
        cron=cron,
        branch=branch,
        requirement=requirement,
    )
