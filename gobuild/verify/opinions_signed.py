"""What other tools read in a code signature: their output comes in, facts go out, and the same from our own reader.

codesign's and rcodesign's adapters are tried on recorded output; apple-platform-py, rcodesign as a library, for real.
"""

import hashlib
import re
import struct
from collections.abc import Mapping

from gobuild.binary.macho_types import ARM64, X86_64, MachO
from gobuild.binary.view import opened
from gobuild.core.process import Result
from gobuild.verify.inspected import Inspected

Facts = Mapping[str, str]
MACHINES = {ARM64: "arm64", X86_64: "x86_64"}

LIBRARY = """\
import json, sys
from apple_platform import reading
print(json.dumps(reading.read_signature(sys.argv[1]), indent=1))
"""
"""A program around apple-platform-py: in a process of its own, a crash of its native code is an answer like others."""


def machine(image: MachO) -> str:
    """How Apple's and LLVM's tools call the file's machine."""
    name = MACHINES.get(image.cputype, "other")
    return "arm64e" if name == "arm64" and image.cpusubtype == 2 else name


def codesign_theirs(result: Result) -> Facts:
    """`codesign --verify` says all by its exit code: 0 valid, 1 not; others are errors of its own."""
    return {"signature": "valid" if result.code == 0 else "not valid"} if result.code in (0, 1) else {}


def codesign_ours(each: Inspected) -> Facts:
    """Whether our reader finds nothing wrong with the signature."""
    valid = each.signature is not None and not each.signature.problems
    return {"signature": "valid" if valid else "not valid"}


def details_theirs(result: Result) -> Facts:
    """Reads `codesign --display --verbose=4`: lines of KEY=VALUE, and one with the CodeDirectory's fields."""
    said = dict(re.findall(r"^([A-Za-z][A-Za-z. ]*?)=(.*?)\s*$", result.output, re.MULTILINE))
    directory = re.search(
        r"^CodeDirectory v=([0-9a-f]+) size=(\d+) flags=(0x[0-9a-f]+)\S* hashes=(\d+)\+(\d+) location=embedded",
        result.output,
        re.MULTILINE,
    )
    if result.code or not directory:
        return {}
    thin = re.search(r"Mach-O thin \((\S+?)\)", said.get("Format", ""))
    facts = {
        "identifier": said.get("Identifier", ""),
        "version": directory[1],
        "flags": directory[3],
        "hashes": directory[4],
        "special slots": directory[5],
        "ad hoc": str(said.get("Signature") == "adhoc"),
        "team": said.get("TeamIdentifier", "not set").replace("not set", ""),
    }
    if thin:
        facts["machine"] = thin[1]
    return facts | ({"cdhash": said["CDHash"]} if "CDHash" in said else {})


def details_ours(each: Inspected) -> Facts:
    """What our reader knows of the only CodeDirectory; nothing where there is none, or more than one."""
    image, signature = each.image, each.signature
    directory = _directory(each)
    if not isinstance(image, MachO) or signature is None or not directory:
        return {}
    return {
        **directory,
        "identifier": signature.identifier,
        "flags": f"{signature.flags:#x}",
        "ad hoc": str(bool(signature.flags & 2)),
        "team": signature.team,
        "machine": machine(image),
    }


def _directory(each: Inspected) -> Facts:
    """The first CodeDirectory's numbers and its cdhash; nothing where there are several, or none."""
    place = each.image.signature if isinstance(each.image, MachO) else None
    if place is None or place.size < 20:
        return {}
    with opened(each.path) as view:
        data = view.copy(place.offset, place.size, "the signature")
    (count,) = struct.unpack_from(">I", data, 8)
    index = [struct.unpack_from(">II", data, 12 + 8 * each) for each in range(min(count, (len(data) - 12) // 8))]
    if (
        sum(slot == 0 or slot >> 4 == 0x100 for slot, _ in index) != 1
        or index[0][0] != 0
        or index[0][1] + 32 > len(data)
    ):
        return {}
    start = index[0][1]
    _magic, size, version, _flags, _hashes, _ident, special, slots = struct.unpack_from(">8I", data, start)
    blob = data[start : start + size]
    return {
        "version": f"{version:x}",
        "hashes": str(slots),
        "special slots": str(special),
        "cdhash": hashlib.sha256(blob).hexdigest()[:40],
    }


RCODESIGN_FLAGS = {"ADHOC": 0x2, "RUNTIME": 0x10000, "LINKER_SIGNED": 0x20000}


def rcodesign_theirs(result: Result) -> Facts:
    """Reads `rcodesign print-signature-info` (YAML), or the same as JSON from apple-platform-py: a key a line."""
    said = re.findall(r'^[\s-]*"?([a-z_0-9]+)"?: *[\'"]?(.*?)[\'"]?,?\s*$', result.output, re.MULTILINE)
    values = dict(reversed(said))
    slots = re.findall(r'"?slot"?: *"?([A-Za-z ]+) \(', result.output)
    sums = [value for key, value in said if key == "sha256"]
    if result.code or "code_digests_count" not in values or len(slots) != len(sums):
        return {}
    names = re.findall(r"[A-Z_]+", values.get("flags", "").partition("(")[2])
    unknown = [name for name in names if name not in RCODESIGN_FLAGS]
    flags = sum(RCODESIGN_FLAGS.get(name, 0) for name in names)
    directories = [value for slot, value in zip(slots, sums, strict=True) if "CodeDirectory" in slot]
    return {
        "identifier": values.get("identifier", ""),
        "version": values.get("version", "").removeprefix("0x"),
        "flags": f"{flags:#x}" + "".join(f" {name}" for name in unknown),
        "hashes": values["code_digests_count"],
        "ad hoc": str("ADHOC" in names),
        **({"cdhash": directories[0][:40]} if len(directories) == 1 else {}),
        **({"team": values["team_name"]} if "team_name" in values else {}),
    }
