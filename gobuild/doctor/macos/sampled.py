"""The output of `sample PID`: text comes in, `Stacks` go out.

The format is no contract of Apple's. It is read as real reports show it, from Mac OS X 10.12 to macOS 26
(tests/data/doctor): a call graph in which ``+ ! : |`` draw lines, two columns a level, then "Binary Images".
"""

import re

from gobuild.doctor.macos.stacks import Draft, Image, Stacks, fields, image_line, name_and_pid

LINE = re.compile(r"(?P<lead>[ +!:|]{4,2000})(?P<count>\d{1,9}) (?P<rest>\S.*)")
"""A line of the call graph. The lead and the number share no character, so this cannot backtrack far."""

THREAD = re.compile(r"Thread_(?P<tid>\d{1,18})")


def read(text: str) -> Stacks:
    """Reads a report of sample. What is no part of it is passed over; a text that is none has no threads."""
    lines = text.splitlines()
    head = fields(lines[:60], "Process", "Code Type")
    process, pid = name_and_pid(head.get("Process", ""))
    threads: list[Draft] = []
    images: list[Image] = []
    part = ""
    for line in lines:
        if line in ("Call graph:", "Binary Images:"):
            part = line
        elif part == "Call graph:" and line.startswith("Total number in stack"):
            part = ""
        elif part == "Call graph:" and (match := LINE.fullmatch(line)):
            _graph(threads, match)
        elif part == "Binary Images:" and (image := image_line(line)):
            images.append(image)
    return Stacks(
        tool="sample",
        process=process,
        pid=pid,
        code=head.get("Code Type", ""),
        threads=tuple(each.done() for each in threads),
        images=tuple(images),
    )


def _graph(threads: list[Draft], match: re.Match[str]) -> None:
    """Adds a line of the call graph: a thread, or a frame of the last thread."""
    depth, count, rest = (len(match["lead"]) - 4) // 2, int(match["count"]), match["rest"]
    if depth == 0:
        named = THREAD.match(rest)
        main = "com.apple.main-thread" in rest or "Main Thread" in rest
        name = rest.partition("  ")[0].strip()
        threads.append(Draft(tid=int(named["tid"]) if named else 0, name=name, main=main, count=count))
    elif threads:
        # "symbol  (in image) + 8  [0x1]  file.go:1", "???  (in <unknown binary>)  [0x1]", or an address alone
        symbol, _, where = rest.partition("  (in ")
        image = where.partition(")")[0]
        threads[-1].add(symbol=symbol, image="" if image.startswith("<") else image, count=count, depth=depth - 1)
