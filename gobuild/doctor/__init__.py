"""doctor: a go command comes in; why it hangs, is killed, or is not the one that was patched goes out.

Each topic collects evidence, plain data, and judges it in a second, pure step; so that evidence which was saved
(`save`) can be judged on any machine (`load`). It repairs nothing, and writes nothing but what it is asked to.
"""

from gobuild.doctor.bundle import document, load, save
from gobuild.doctor.examine import diagnose, examine
from gobuild.doctor.model import Diagnosis, Finding, Grade
from gobuild.doctor.page import COLUMNS, groups, page, row

__all__ = [
    "COLUMNS",
    "Diagnosis",
    "Finding",
    "Grade",
    "diagnose",
    "document",
    "examine",
    "groups",
    "load",
    "page",
    "row",
    "save",
]
