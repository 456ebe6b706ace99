"""A diagnosis shown and kept: rows of a table, a page of HTML, one JSON document, and the bundle, a zip of both.

Reading trusts nothing: sizes are bounded, the form is checked, every text is cleaned again, and the findings are made
anew from the evidence, not taken from the file.
"""

import contextlib
import json
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from gobuild.core import files
from gobuild.core.errors import ConfigError
from gobuild.core.manifest import load_json
from gobuild.core.render import render
from gobuild.doctor import redact
from gobuild.doctor.examination import TOPICS, diagnose
from gobuild.doctor.model import Diagnosis, Finding

SCHEMA = 1
"""Changes when a key of the document changes its meaning."""

NAME = "doctor.json"
LIMIT = 32 << 20
"""Bytes of a document. One with a goroutine dump has about 100,000."""

TEXTS = ("subject", "when", "host")

COLUMNS = ("check", "grade", "seen, and what to do")


def groups(found: Diagnosis) -> dict[str, list[Finding]]:
    """The findings by group, in order."""
    names = dict.fromkeys(each.group for each in found.findings)
    return {name: [each for each in found.findings if each.group == name] for name in names}


def row(finding: Finding) -> tuple[str, str, str]:
    """A finding as a row of `COLUMNS`."""
    advice = f"\n-> {finding.advice}" if finding.advice else ""
    return (finding.name, str(finding.grade), finding.seen + advice)


def page(found: Diagnosis) -> str:
    """The page; every text in it is escaped."""
    return render(
        "doctor.html.j2",
        html=True,
        found=found,
        worst=str(found.worst),
        counts=dict(Counter(str(each.grade) for each in found.findings)),
        groups=list(groups(found).items()),
        evidence={name: json.dumps(part, indent=1, ensure_ascii=False) for name, part in found.evidence.items()},
    )


def diagnosis_document(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis for machines."""
    return {
        "schema": SCHEMA,
        "gobuild": installed("gobuild"),
        **{each: getattr(found, each) for each in TEXTS},
        "worst": str(found.worst),
        "findings": [asdict(each) for each in found.findings],
        "evidence": dict(found.evidence),
    }


def save(found: Diagnosis, path: Path) -> None:
    """Writes the bundle: a zip with the document, and the page for whoever has no gobuild."""
    with files.atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(NAME, json.dumps(diagnosis_document(found), indent=1) + "\n")
        pack.writestr("doctor.html", page(found))


def load(path: Path) -> Diagnosis:
    """Reads a bundle, or the document that ``--json`` prints, and judges its evidence again."""
    try:
        told = load_json(_document_bytes(path))
        if not isinstance(told, dict) or told.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        evidence = told.get("evidence")
        known = {topic.name for topic in TOPICS}
        if not isinstance(evidence, dict) or not all(isinstance(told.get(each), str) for each in TEXTS):
            raise ValueError("it lacks the evidence, or what it is of")
        if not known.issuperset(evidence) or not all(isinstance(part, Mapping) for part in evidence.values()):
            raise ValueError("it holds evidence on other topics")
        clean = redact.redact_all(evidence, hidden=(), home="")
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "a file that gobuild doctor --bundle wrote"
        raise ConfigError(f"{path} is no bundle of the doctor's: {reason}", hint) from error
    subject, when, host = (redact.redact_text(told[each][:500]) for each in TEXTS)
    return Diagnosis(subject=subject, when=when, host=host, findings=diagnose(clean), evidence=clean)


def _document_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError("there is no such file")
    with contextlib.ExitStack() as stack:
        if zipfile.is_zipfile(path):
            pack = stack.enter_context(zipfile.ZipFile(path))
            if (count := pack.namelist().count(NAME)) != 1:
                raise ValueError(f"it holds {count} {NAME}")
            data = stack.enter_context(pack.open(NAME)).read(LIMIT + 1)
        else:
            data = stack.enter_context(path.open("rb")).read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"its document has more than {LIMIT >> 20} MiB")
    return data
