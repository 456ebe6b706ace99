"""The list of checks is whole: every name that verify can give a check is in it, and none besides."""

import ast
from pathlib import Path

import gobuild.verify
from gobuild.verify import checklist
from gobuild.verify.opinions import OPINIONS

SOURCES = sorted(Path(gobuild.verify.__file__).parent.glob("*.py"))


def _names() -> set[str]:
    """What stands as a check's name in verify's source: of judge and skip, of Check(name=), or in a variable `name`."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [each.value for each in node.keywords if each.arg == "name"] if called == "Check" else []
            given += node.args[:1] if called in ("judge", "skip") else []
            found |= {str(each.value) for each in given if isinstance(each, ast.Constant)}
    return found


def test_every_check_is_on_the_list() -> None:
    assert _names() - set(checklist.CHECKS) == set()
    # These get their names from a variable, or one a tool or a requirement.
    others = {"build ID", "second opinion", "policy", "imports"}
    assert set(checklist.CHECKS) - _names() <= others


def test_families_and_near_misses() -> None:
    assert all(checklist.of(f"second opinion: {each.name}") == "second opinion" for each in OPINIONS)
    assert checklist.of("install name") == ""
    assert checklist.of("format: x") == ""
    assert checklist.nearest("signatur") == "signature"
    assert checklist.nearest("qqqq") == ""
    assert checklist.says("policy: team") == checklist.CHECKS["policy"]
