"""How git is told to do the same everywhere: its options, a repository's configuration, the environment."""

import os
from pathlib import Path

from gobuild.patch.workbench.message import AUTHOR, DATE

ATTRIBUTES = (
    "* -text -ident -filter -working-tree-encoding -export-ignore -export-subst !diff !merge !conflict-marker-size\n"
)
"""Every byte as it is, and git's built-in diff, whatever the source says of itself (gitattributes(5))."""

SETTINGS = """[core]
	repositoryformatversion = 0
	bare = false
	autocrlf = false
	commentChar = ";"
[merge]
	conflictStyle = diff3
[gc]
	auto = 0
"""
"""A line that begins with "#68678" is a part of a message in Go's world, and shall survive a conflict."""

OPTIONS = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.quotePath=false",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "diff.suppressBlankEmpty=false",
    "log.showSignature=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "rebase.missingCommitsCheck=ignore",
)

DIFF = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--unified=3",
    "--inter-hunk-context=0",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--binary",
)
"""All that git lets a configuration decide about a diff, decided."""


def environment(git_dir: Path, work_tree: Path, index: Path) -> dict[str, str]:
    """The variables that keep git to one repository and away from the user's and the system's configuration."""
    return {
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(work_tree),
        "GIT_INDEX_FILE": str(index),
        "GIT_OBJECT_DIRECTORY": str(git_dir / "objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "0",
        "GIT_CONFIG_PARAMETERS": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "GIT_COMMITTER_NAME": AUTHOR[0],
        "GIT_COMMITTER_EMAIL": AUTHOR[1],
        "GIT_COMMITTER_DATE": DATE,
    }
