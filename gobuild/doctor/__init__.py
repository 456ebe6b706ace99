"""doctor: says why a go command hangs, is killed, or is not the one that was patched.

Each topic collects evidence, plain data, and judges it in a second, pure step; so that evidence which was saved
(`save`) can be judged on any machine (`load`). It repairs nothing, and writes nothing but what it is asked to.
"""

from gobuild.doctor.bundle import COLUMNS, diagnosis_document, groups, load, page, row, save
from gobuild.doctor.examination import diagnose, examine
from gobuild.doctor.macos.reference import place_hangs
from gobuild.doctor.model import Diagnosis, Finding, Grade

__all__ = [
    "COLUMNS",
    "Diagnosis",
    "Finding",
    "Grade",
    "diagnose",
    "diagnosis_document",
    "examine",
    "groups",
    "load",
    "page",
    "place_hangs",
    "row",
    "save",
]
