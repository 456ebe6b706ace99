"""A GitHub Actions workflow that builds, verifies and publishes by itself.

Actions stand in it by the commit of a release, so that nobody who moves a tag changes what runs. Secrets are in the
environment of the two steps that use them, and of no other. It was linted, and never run: there is no GitHub here.
"""

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from gobuild.core.errors import ConfigError
from gobuild.core.goversion import GoVersion, Target
from gobuild.core.render import render
from gobuild.core.settings import Settings

ACTIONS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "python": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "upload": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
}
"""Each by the commit that its tag pointed to in a clone of the action's own repository."""

_CRON = re.compile(r"([0-9*/,-]+ ){4}[0-9*/,-]+")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,100}")
_REQUIREMENT = re.compile(r"[A-Za-z0-9.][A-Za-z0-9._/@+:=<>~,\[\]-]{0,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowOptions:
    """What the workflow does.

    Attributes:
        lines: which Go, each a word that `--go` takes: "1.22", "stable".
        cron: when it asks for new releases, five fields.
        branch: the branch that may publish.
        requirement: what pip installs: gobuild, as a requirement or a path.
    """

    lines: tuple[str, ...]
    targets: tuple[str, ...]
    cron: str
    branch: str
    requirement: str

    def __post_init__(self) -> None:
        if not self.lines or not self.targets:
            raise ConfigError("a workflow needs a line of Go and a target", "--lines stable --targets darwin/arm64")
        for line in self.lines:
            if line not in ("stable", "oldstable"):
                GoVersion.parse(line)
        for target in self.targets:
            Target.parse(target)
        for what, rule, value in (
            ("cron line", _CRON, self.cron),
            ("branch", _BRANCH, self.branch),
            ("requirement", _REQUIREMENT, self.requirement),
        ):
            if not rule.fullmatch(value) or "${{" in value:
                raise ConfigError(f"{value!r} is no {what} that can stand in a workflow", "plain letters and digits")


def render_workflow(settings: Settings, options: WorkflowOptions) -> str:
    """Renders the workflow.

    Raises:
        ConfigError: no base_url, by which it finds out what is published; or a word that may not stand in it.
    """
    if not settings.base_url.startswith("https://"):
        raise ConfigError("a workflow must know where the tree is served", "--base-url https://...")
    for word in (settings.base_url, settings.series, settings.suffix, settings.source):
        if "${{" in word:
            raise ConfigError(f"{word!r} would be an expression in a workflow", "a word without ${{")
    if urlsplit(settings.source.removeprefix("git+")).password:
        raise ConfigError(
            "a password in a URL would stand in the workflow for everybody to read",
            "the URL without it; the workflow's runner asks git's credential helper",
        )
    return render(
        "workflow.yml.j2",
        filters={
            "yaml": json.dumps,  # JSON's strings are YAML's
            "shell": shlex.quote,
        },
        actions=ACTIONS,
        base_url=settings.base_url.rstrip("/"),
        name=settings.name,
        suffix=settings.suffix,
        # By name: nobody is there at night to read that a second choice was made.
        source="archive" if settings.source == "auto" else settings.source,
        series=settings.series,
        lines=",".join(options.lines),
        targets=",".join(options.targets),
        cron=options.cron,
        branch=options.branch,
        requirement=options.requirement,
    )


def github_output(builds: Iterable[dict[str, str]]) -> str:
    """What a step writes to $GITHUB_OUTPUT: one line, whatever stands in it."""
    return f"builds={json.dumps(list(builds))}"
