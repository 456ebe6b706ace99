"""Judges a git repository that somebody else may have written, by its files alone: git obeys what it finds in one.

A repository's own config can name programs (fsmonitor, hooks, filters, remotes by `ext::`), other files (include) and
other object stores (alternates), and git runs or reads them as it lists a commit. So only what is known to do none of
this may stand there; anything else is refused by its name, before git is started.
"""

import re
from pathlib import Path

from gobuild.core.errors import VerifyError

_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol"
    r"|sharedrepository|compression|quotepath)"
    r"|remote\.(url|fetch|pushurl|push|tagopt|prune|mirror)"
    r"|branch\.(remote|merge|rebase|description|pushremote)"
    r"|user\.(name|email|signingkey)|extensions\.objectformat|init\.defaultbranch|gc\.auto|maintenance\.auto"
    r"|(pull|push)\.[a-z]+|commit\.gpgsign"
)
"""Settings that name no program, no file and no other store for what gobuild asks of git."""

_SECTION = re.compile(r'\[\s*([A-Za-z0-9-]+)(?:\s+"(?:[^"\\\x00]|\\.)*")?\s*\]\s*(?:[#;].*)?')
_SETTING = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*(?:=.*)?")

_OURS = re.compile(
    r"HEAD|config|description|packed-refs|info/(refs|exclude)|(refs|logs)/[A-Za-z0-9._/-]+|logs/HEAD"
    r"|objects/[0-9a-f]{2}/[0-9a-f]{38,62}|objects/pack/[a-z]+-[0-9a-f]{40,64}\.[a-z]+|objects/info/packs"
    r"|objects/info/commit-graphs?(/[a-z0-9.-]+)?|hooks/[a-z-]+\.sample"
)
"""The files of a bare repository that gobuild wrote, and that git itself may have packed anew."""


def refuse_unsafe_repository(folder: Path, *, bare: bool, published: bool = False) -> None:
    """Lets a repository pass to git only if nothing in it makes git run or read something else.

    `folder` is git's, of a linked work tree the one that it shares. A bare repository has no hooks, since nobody has
    their own there; a published one has no file but those that gobuild and git write.

    Raises:
        VerifyError: it has a file or a setting that cannot be let pass; both are named.
    """
    for name in ("objects/info/alternates", "objects/info/http-alternates"):
        if (folder / name).is_symlink() or (folder / name).exists():
            raise _refused(folder / name, "objects would come from elsewhere")
    for path in sorted((folder / "hooks").glob("*")) if bare else ():
        if not path.name.endswith(".sample"):
            raise _refused(path, "a hook is a program")
    for path in sorted(folder.rglob("*")) if published else ():
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise _refused(path, "no plain file or folder")
        if path.is_file() and not _OURS.fullmatch(path.relative_to(folder).as_posix()):
            raise _refused(path, "no file that gobuild or git puts into a tap")
    _refuse_unsafe_config(folder / "config")


def _refused(path: Path, why: str) -> VerifyError:
    return VerifyError(
        f"{path} is refused, and git was not started: {why}", "find out who wrote it; take the tap as it was published"
    )


def _refuse_unsafe_config(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    try:
        if not path.is_file() or path.stat().st_size > 1 << 20:
            raise _refused(path, "no plain file, or too large")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(path, "it cannot be read") from error
    section = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if not line or line[0] in "#;":
            continue
        if header := _SECTION.fullmatch(line):
            section = header[1].lower()
            continue
        setting = _SETTING.fullmatch(line)
        # A line that goes on in the next one could hide what that one says.
        if setting is None or not section or line.endswith("\\"):
            raise _refused(path, f"line {number} is not read here: {line[:80]!a}")
        name = f"{section}.{setting[1].lower()}"
        if not _HARMLESS.fullmatch(name):
            raise _refused(path, f"line {number} sets {name}, which may make git run or read something else")
