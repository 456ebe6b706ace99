"""A mailbox of patches: as many contents as mails, taken apart where git takes it apart, and nowhere else."""

from pathlib import Path

import pytest
from patch_fixtures import write
from workbench_fixtures import commit, git

from gobuild.core.errors import PatchError
from gobuild.patch.diff.mailbox import MOST_MAILS, split_mailbox

TRAPS = """one: a message full of traps

From now on, at 10:00:00 2001, all is well.
From here: it goes on.
From ada@example.org Mon Sep 17 00:00:00 2001
which is no mail, since no headers follow.
"""


def mailbox(folder: Path) -> bytes:
    """What git format-patch makes of three commits, of which one adds a mailbox as a file."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, "nothing yet", "--allow-empty")
    write(folder, {"a": "a\n"})
    commit(folder, TRAPS)
    write(folder, {"box": "From 1234567 Mon Sep 17 00:00:00 2001\nFrom: a@example.org\nSubject: b\n\nc\n"})
    commit(folder, "two: adds a mailbox")
    write(folder, {"a": "A\n"})
    commit(folder, "three")
    git(folder, "format-patch", "--output=box.mbox", "--cover-letter", "HEAD~3")
    return (folder / "box.mbox").read_bytes()


def test_a_mailbox_is_taken_apart_as_git_does(tmp_path: Path) -> None:
    content = mailbox(tmp_path / "git")
    mails = split_mailbox(content)
    assert b"".join(mails) == content
    (tmp_path / "mails").mkdir()
    (tmp_path / "box").write_bytes(content)
    git(tmp_path, "mailsplit", "-omails", "-b", "box")
    # git takes two of the traps for mails as well, which have no headers, so that nothing could be made of them.
    by_git = [path.read_bytes() for path in sorted((tmp_path / "mails").iterdir())]
    assert mails == [by_git[0], b"".join(by_git[1:4]), *by_git[4:]]


def test_what_is_no_mailbox_is_one_content(tmp_path: Path) -> None:
    (_, one, *_) = split_mailbox(mailbox(tmp_path / "git"))
    for content in (one, one[one.index(b"diff --git") :], b"", b"\n\n", b"words\n", b"\xff\0"):
        assert split_mailbox(content) == [content]
    assert split_mailbox(b"diff\n" + one + one) == [b"diff\n", one, one]


def test_a_mailbox_without_an_end_is_refused() -> None:
    mail = b"From 1234567 Mon Sep 17 00:00:00 2001\nSubject: x\n\n"
    assert len(split_mailbox(mail * MOST_MAILS)) == MOST_MAILS
    with pytest.raises(PatchError, match="more than 10000 mails"):
        split_mailbox(mail * 500_000)
