"""Which known vulnerabilities of Go are open in a release, as OpenVEX 0.2.0 and as CycloneDX 1.6, from its manifests.

The products are the archives, and under them Go's standard library or toolchain, as scanners name it: nothing is said
of upstream's Go of that version. What is so in every build of the release is said of the release as a whole, too.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from gobuild.core.manifest import VulnerabilityRecord
from gobuild.publish.builds import Build
from gobuild.vulns.facts import MODULES
from gobuild.vulns.status import Exposure

OPENVEX, CYCLONEDX = "openvex.json", "vex.cdx.json"
"""Their names in a release's folder."""

CONTEXT = "https://openvex.dev/ns/v0.2.0"

SPACE = uuid.UUID("b0c9a0c4-51ec-5b0e-8e5a-0a7b6a3c6f16")
"""The namespace of the documents' ids: one of the same content has the same id."""


class Status(StrEnum):
    """OpenVEX's words."""

    AFFECTED = "affected"
    FIXED = "fixed"
    NOT_AFFECTED = "not_affected"
    OPEN_QUESTION = "under_investigation"


_STATES = {
    Status.AFFECTED: "exploitable",
    Status.FIXED: "resolved_with_pedigree",
    Status.NOT_AFFECTED: "not_affected",
    Status.OPEN_QUESTION: "in_triage",
}
"""CycloneDX's words for the same (impactAnalysisState)."""

_JUSTIFICATIONS = {"openvex": "vulnerable_code_not_in_execute_path", "cyclonedx": "code_not_reachable"}
"""Why what is for another system is not affected: the source of every system ships, and no program here has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VexStatement:
    """What is so of one vulnerability in some builds of a release."""

    id: str
    aliases: tuple[str, ...]
    modules: tuple[str, ...]  # "stdlib", "toolchain"
    status: Status
    note: str
    builds: tuple[Build, ...]

    @property
    def cve(self) -> str:
        """The name by which most scanners have it."""
        return next((each for each in self.aliases if each.startswith("CVE-")), self.id)


def vex_statements(builds: Sequence[Build]) -> tuple[VexStatement, ...]:
    """The statements of one release, in the order of the ids; of builds whose manifest tells of none, none."""
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...], Status, str], list[Build]] = {}
    for build in builds:
        tested = {each.name for each in build.manifest.patches if each.tested}
        for each in build.manifest.vulnerabilities.known if build.manifest.vulnerabilities else ():
            status, note = _status(each, tested)
            groups.setdefault(
                (each.id, tuple(dict.fromkeys(each.aliases)), each.modules or MODULES, status, note), []
            ).append(build)
    return tuple(
        VexStatement(id=name, aliases=aliases, modules=modules, status=status, note=note, builds=tuple(found))
        for (name, aliases, modules, status, note), found in sorted(groups.items(), key=lambda item: item[0])
    )


def _status(known: VulnerabilityRecord, tested: set[str]) -> tuple[Status, str]:
    exposure = Exposure(known.state)
    if exposure is Exposure.AFFECTS:
        return Status.AFFECTED, f"take a release of Go that mends it: https://pkg.go.dev/vuln/{known.id}"
    if exposure is not Exposure.FIXED:
        return Status.NOT_AFFECTED, f"{known.reason}; a program that it builds for such a system may have it"
    if known.patch in tested:
        return Status.FIXED, f"the patch {known.patch} fixes it: its own test passed with it, and failed without"
    # Its author says so, and that is all that is known.
    return Status.OPEN_QUESTION, f"the patch {known.patch} says that it fixes it; no test of that is on record"


def openvex(name: str, builds: Sequence[Build], *, time: str) -> dict[str, Any] | None:
    """The OpenVEX document of one release of the distribution `name`; None where there is nothing to state."""
    statements = [_openvex_statement(name, each, builds) for each in vex_statements(builds)]
    body = {"author": name, "timestamp": time, "version": 1, "tooling": "gobuild", "statements": statements}
    return {"@context": CONTEXT, "@id": f"urn:uuid:{_digest(body)}"} | body if statements else None


def _openvex_statement(name: str, statement: VexStatement, builds: Sequence[Build]) -> dict[str, Any]:
    said: dict[Status, dict[str, str]] = {
        Status.AFFECTED: {"action_statement": statement.note},
        Status.NOT_AFFECTED: {"justification": _JUSTIFICATIONS["openvex"], "impact_statement": statement.note},
    }
    vulnerability: dict[str, Any] = {"@id": f"https://pkg.go.dev/vuln/{statement.id}", "name": statement.id}
    if statement.aliases:
        vulnerability["aliases"] = list(statement.aliases)
    subcomponents = [{"@id": purl} for each in statement.builds[:1] for purl in go_purls(each, statement.modules)]
    products: list[dict[str, Any]] = [
        {"@id": archive_purl(name, build, file), "hashes": {"sha-256": digest}, "subcomponents": subcomponents}
        for build in statement.builds
        for file, digest in products_of(build).items()
    ]
    if len(statement.builds) == len(builds):
        products.insert(0, {"@id": release_purl(name, builds[0]), "subcomponents": subcomponents})
    return {
        "vulnerability": vulnerability,
        "products": products,
        "status": str(statement.status),
        **said.get(statement.status, {"status_notes": statement.note}),
    }


def cyclonedx(builds: Sequence[Build], *, time: str, bill: str) -> dict[str, Any] | None:
    """The same for CycloneDX. `bill` is the serial number, urn:uuid:…, of the bill of materials that it refers to."""
    link = f"urn:cdx:{bill.removeprefix('urn:uuid:')}/1#"
    found = [_cyclonedx_entry(each, builds, link) for each in vex_statements(builds)]
    body = {"metadata": {"timestamp": time}, "vulnerabilities": found}
    return (
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{_digest(body)}",
            "version": 1,
        }
        | body
        if found
        else None
    )


def _cyclonedx_entry(statement: VexStatement, builds: Sequence[Build], link: str) -> dict[str, Any]:
    database = {"name": "Go vulnerability database", "url": f"https://pkg.go.dev/vuln/{statement.id}"}
    analysis = {"state": _STATES[statement.status], "detail": statement.note}
    if statement.status is Status.NOT_AFFECTED:
        analysis["justification"] = _JUSTIFICATIONS["cyclonedx"]
    refs = [f"file:{file}" for build in statement.builds for file in products_of(build)]
    if len(statement.builds) == len(builds):
        refs = [*go_purls(builds[0], statement.modules)[: len(statement.modules)], *refs]
    return {
        "id": statement.cve,
        "source": database,
        "references": [{"id": statement.id, "source": database}],
        "analysis": analysis,
        "affects": [{"ref": f"{link}{quote(each, safe=':@/')}"} for each in refs],
    }


def products_of(build: Build) -> dict[str, str]:
    """The archives that hold programs, with their SHA-256; nothing is said of the source archive, which is for all."""
    found = (build.archive("toolchain"), build.archive("module"))
    return {each.path.name: each.sha256 for each in found}


def release_purl(name: str, build: Build) -> str:
    """A release as its bill of materials calls it, and as grype calls what it is told the name and version of."""
    return f"pkg:generic/{quote(name)}@{quote(build.stamp.removeprefix('go'))}"


def archive_purl(name: str, build: Build, file: str) -> str:
    """One of its archives (https://github.com/package-url/purl-spec)."""
    return f"{release_purl(name, build)}?checksum=sha256:{products_of(build)[file]}&file_name={quote(file)}"


def go_purls(build: Build, modules: Sequence[str]) -> list[str]:
    """Go itself as scanners name it: as syft, grype and osv-scanner; then with v, as govulncheck and trivy."""
    return [f"pkg:golang/{each}@{v}{quote(str(build.version))}" for v in ("", "v") for each in modules]


def _digest(body: object) -> uuid.UUID:
    return uuid.uuid5(SPACE, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


def openvex_claims(document: Any) -> set[tuple[str, ...]]:
    """What an OpenVEX document claims of what: no prose, no time. Raises what reading somebody's JSON may end in."""
    return set(_openvex_claims(document))


def _openvex_claims(document: Any) -> Iterator[tuple[str, ...]]:
    for each in document["statements"]:
        names = (each["vulnerability"]["name"], *each["vulnerability"].get("aliases", ()))
        words = (each["status"], each.get("justification", ""))
        for product in each["products"]:
            under = [one["@id"] for one in product.get("subcomponents", ())]
            yield (*words, product["@id"], *map(str, product.get("hashes", {}).values()), *under, *names)


def cyclonedx_claims(document: Any) -> set[tuple[str, ...]]:
    """The same of a CycloneDX document."""
    return {
        (
            each["analysis"]["state"],
            each["analysis"].get("justification", ""),
            one["ref"],
            each["id"],
            *(name["id"] for name in each["references"]),
        )
        for each in document["vulnerabilities"]
        for one in each["affects"]
    }
