"""A mail's words as git wrote them: authors and subjects in any script, folded and encoded as RFC 2047 has it."""

from pathlib import Path

import pytest
from workbench_fixtures import git

from gobuild.patch.diff.parse import parse_diff
from gobuild.patch.workbench.message import decode_words, parse_prose


@pytest.mark.parametrize(
    "author",
    ["张伟 基础架构组工具链与编译器方向 北京总部研发中心", "Jürg O'Neil-Ünal, Dr. (ext)", "𐲀𐲂𐲃𐲄 𐲅𐲆𐲇𐲈𐲉𐲊 𐲋𐲌𐲍 𐲎𐲏𐲐𐲑", "A"],
)
@pytest.mark.parametrize(
    "subject",
    [
        "运行时 在初始化期间不要调用图形处理器 因为它会使所有程序在启动时挂起很长时间",
        "net: ü in a subject that is long enough for two lines of a mail",
        "x",
    ],
)
def test_an_author_and_a_subject_are_read_as_git_had_them(tmp_path: Path, author: str, subject: str) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").write_text("a\n")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", subject, "--author", f"{author} <w@example.org>")
    git(tmp_path, "format-patch", "--root", "--output=x.patch", "HEAD")
    said = parse_prose(parse_diff((tmp_path / "x.patch").read_bytes()).description, "x")
    assert (said.author, said.email, said.subject) == (author, "w@example.org", subject)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("=?UTF-8?q?=E6=9E?= =?UTF-8?q?=84?= plain =?utf-8?B?w7w=?=", "构 plain ü"),
        ("张 \\u0041 =?utf-8?q?=E6=9E=84?=", "张 \\u0041 构"),
        ("=?iso-8859-1?q?caf=E9?= =?utf-8?q?=C3=BC?=", "caféü"),
        ("=?nobody's?q?a?= b", "=?nobody's?q?a?= b"),
        ("=?utf-8?q?=ff?= x", "\ufffd x"),
    ],
)
def test_encoded_words(words: str, says: str) -> None:
    assert decode_words(words) == says
