"""The two forms of ioreg's output, read strictly: bytes or text come in, nodes as plain mappings go out.

A node holds what ioreg says of it, by the keys of the XML form in both, and the processes that have it open under
"clients". Of the text form only the wanted keys are read. What is not as ioreg writes it is a ``ValueError``.
"""

import plistlib
import re
from collections import deque
from collections.abc import Mapping
from typing import Any
from xml.parsers.expat import ExpatError

WANTED = (
    *("IOObjectClass", "IOClass", "IOProbeScore", "IOPowerManagement", "PerformanceStatistics", "AGCInfo"),
    *("IOAccelRevision", "model", "IOUserClientCreator"),
)

NODE = re.compile(
    r"[| ]{0,400}\+-o (?P<name>[^<]{1,300})<class (?P<kind>[^,>]{1,200})(?:, id (?P<id>0x[0-9a-f]{1,16}))?"
    r"(?P<state>[^>]{0,200})>.{0,20}"
)
BUSY = re.compile(r", busy (?P<busy>\d{1,9})(?: \((?P<ms>\d{1,15}) ms\))?")
PROPERTY = re.compile(r"[| ]{0,400}\"(?P<key>[^\"]{1,200})\" = (?P<value>.*)")

VALUE = re.compile(r"\"(?P<text>[^\"]*)\"|(?P<number>-?\d{1,20})|<(?P<data>[^>]*)>|\{(?P<pairs>.*)\}")
PAIR = re.compile(r"\"(?P<key>[^\"]{1,200})\"=(?P<number>-?\d{1,20})(?=[,)}]|$)")

MOST = 100_000


def from_plist(data: bytes) -> list[dict[str, Any]]:
    """Reads the XML form (``-a``): an array of nodes, or one, with their children in them."""
    try:
        top = plistlib.loads(data, fmt=plistlib.FMT_XML)
    except (ValueError, OverflowError, RecursionError, LookupError, AttributeError, TypeError, ExpatError) as error:
        raise ValueError(f"no XML property list: {error}") from error
    found: list[dict[str, Any]] = []
    waiting = deque[tuple[Any, dict[str, Any] | None]](
        (each, None) for each in (top if isinstance(top, list) else [top])
    )
    seen = 0
    while waiting:
        node, above = waiting.popleft()
        seen += 1
        if not isinstance(node, dict) or seen > MOST:
            raise ValueError("a node is no dictionary, or there are too many")
        _client(node, above)
        mine = {key: value for key, value in node.items() if key != "IORegistryEntryChildren"}
        found.append(mine)
        children = node.get("IORegistryEntryChildren", [])
        if not isinstance(children, list):
            raise ValueError("children are no array")
        waiting.extend((each, mine) for each in children)
    return found


def from_text(text: str) -> list[dict[str, Any]]:
    """Reads the text form. Lines that were left out in between end the node before them."""
    found: list[dict[str, Any]] = []
    root: dict[str, Any] | None = None
    node: dict[str, Any] | None = None
    for line in text.splitlines():
        if match := NODE.fullmatch(line):
            node = _node(match)
            found.append(node)
            if line.startswith("+-o"):
                root = node
        elif (match := PROPERTY.fullmatch(line)) and node is not None:
            if match["key"] in WANTED:
                node[match["key"]] = value(match["value"])
                _client(node, root if root is not node else None)
        elif line.strip("| {}\t"):
            node = None
    return found


def _node(match: re.Match[str]) -> dict[str, Any]:
    node: dict[str, Any] = {"IORegistryEntryName": match["name"].strip(), "IOObjectClass": match["kind"]}
    if match["id"]:
        node["IORegistryEntryID"] = int(match["id"], 16)
    if busy := BUSY.search(match["state"]):
        node["IOServiceBusyState"] = int(busy["busy"])
        if busy["ms"]:
            node["IOServiceBusyTime"] = int(busy["ms"]) * 1_000_000
    return node


def _client(node: Mapping[str, Any], above: dict[str, Any] | None) -> None:
    """Tells the node above who has it open."""
    creator = node.get("IOUserClientCreator")
    if above is not None and isinstance(creator, str):
        above.setdefault("clients", []).append(creator)


def value(text: str) -> str | int | dict[str, int]:
    """Reads one value: ``"text"``, ``12``, ``<"text">``, or the numbers of ``{"a"=1,"b"=(Yes,"c")}``.

    Raises:
        ValueError: it is none of these, or has no end.
    """
    match = VALUE.fullmatch(text.strip())
    if match is None:
        raise ValueError("ioreg cut its lines: ask it with -w 0" if text.endswith("$") else f"no value: {text[:60]!r}")
    if match["pairs"] is not None:
        return {each["key"]: int(each["number"]) for each in PAIR.finditer(match["pairs"])}
    if match["number"] is not None:
        return int(match["number"])
    return str(match["text"] if match["text"] is not None else match["data"].strip('"'))
