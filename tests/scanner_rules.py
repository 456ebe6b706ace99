"""What scanners for known vulnerabilities make of a Go version, by their own rules: facts, none of their code.

govulncheck  golang/vuln 19b0bb6: internal/semver (GoTagToSemver, Affects), internal/vulncheck (affected, fetch);
             of a program it asks the build information, of source code `go env GOVERSION`
gopls        golang/tools 8f0f8c7: gopls/internal/vulncheck/scan runs govulncheck on the source code
trivy        aquasecurity/trivy: pkg/dependency/parser/golang/binary, pkg/detector/library/compare, and
             aquasecurity/go-version
osv-scanner  google/osv-scalibr c2094f2: extractor/…/gobinary, enricher/vulnmatch/osvlocal, semantic
grype        anchore/syft bf82010: syft/pkg/cataloger/golang; anchore/grype 4562c55: grype/version; anchore/go-version
bazel        bazelbuild/rules_go 87e66bb: go/private/sdk.bzl
"""

import re
from collections.abc import Callable, Iterable, Mapping

from vulns_fixtures import Osv

from gobuild.vulns.ranges import semver_key

TAG = re.compile(r"go(\d+\.\d+)(\.\d+|)((beta|rc|-pre)(\d+))?", re.ASCII)
"""The only versions of Go that govulncheck knows."""

LOOSE = re.compile(r"(\d+(?:\.\d+)*)(?:-?([0-9A-Za-z~-]+(?:\.[0-9A-Za-z~-]+)*))?", re.ASCII)
"""What aquasecurity/go-version takes for a version; anchore/go-version's wants the hyphen."""


def as_govulncheck(version: str) -> str:
    """The semantic version that it goes on with; of "" it says that no report concerns it."""
    found = TAG.fullmatch(version.split(maxsplit=1)[0])
    if not found:
        return ""
    stage = f"-{found[4].removeprefix('-')}.{found[5]}" if found[3] else ""
    return f"{found[1]}{found[2] or '.0'}{stage}"


def as_others(version: str) -> str:
    """The same of trivy, osv-scanner and grype: what stands before a space, without "go"; a suffix is a pre-release."""
    bare = version.split(maxsplit=1)[0].removeprefix("go")
    return bare if LOOSE.fullmatch(bare) else ""


SCANNERS: Mapping[str, Callable[[str], str]] = {
    "govulncheck": as_govulncheck,
    "trivy": as_others,
    "osv-scanner": as_others,
    "grype": as_others,
}
"""Those that look into a program; gopls is govulncheck, with `go env GOVERSION`."""


def concerns(report: Osv, version: str, goos: str = "", goarch: str = "", module: str = "") -> bool:
    """Whether a report concerns a semantic version: govulncheck's affected, Affects and matchesPlatform.

    The others have the same events, in the same order of versions, and no platforms.
    """
    for entry in report["affected"]:
        if not version or module not in ("", entry["package"]["name"]):
            continue
        affected = False
        for each in entry["ranges"]:
            inside = False
            for event in sorted(each["events"], key=lambda event: semver_key(next(iter(event.values())))):
                if not inside and "introduced" in event:
                    inside = event["introduced"] == "0" or not semver_key(version) < semver_key(event["introduced"])
                elif inside and "fixed" in event:
                    inside = semver_key(version) < semver_key(event["fixed"])
            affected = affected or inside
        imports = entry["ecosystem_specific"]["imports"]
        here = [
            each
            for each in imports
            if goos in ("", *each.get("goos", [goos])) and goarch in ("", *each.get("goarch", [goarch]))
        ]
        if affected and (here or not imports):
            return True
    return False


def reported(scanner: str, version: str, reports: Iterable[Osv]) -> list[str]:
    """The reports on the standard library that a scanner has of a program with this version of Go in it."""
    found = SCANNERS[scanner](version)
    return [each["id"] for each in reports if concerns(each, found, module="stdlib")]


def bazel_takes(version_file: str, wanted: str) -> bool:
    """Whether rules_go takes an SDK, by its file VERSION, where its user asks for a version of it."""
    version = version_file.splitlines()[0][2:]
    return bool(re.match(r"\d+(\.\d+){1,2}(?![\d.])", version)) and wanted in ("", version)
