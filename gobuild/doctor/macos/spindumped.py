"""The output of `spindump PID`: text comes in, `Stacks` of one process go out.

spindump reports every process of the machine and needs root. Its man page shows a frame's line; the rest is read as
real reports show it (tests/data/doctor): two columns a level, counted where the number begins, the kernel's frames
marked by a star, the samples in which a frame was seen behind it in timeline format.
"""

import re

from gobuild.doctor.macos.stacks import Draft, Image, Stacks, fields, image_line, name_and_pid

PROCESS = "Process:"

THREAD = re.compile(r"  Thread (?P<tid>0x[0-9a-f]{1,16})\b(?P<rest>.*)")
SAMPLES = re.compile(r"\b(\d{1,9}) samples\b")
NAMED = re.compile(r"\b(?:Thread name|DispatchQueue) \"([^\"]{1,200})\"")
LINE = re.compile(r"(?P<lead> {1,2000})(?P<star>\*?)(?P<count>\d{1,9}) +(?P<rest>[^\s].*)")


def section(text: str, pid: int) -> str:
    """Cuts one process out of a report, with the report's head: the rest is none of the doctor's business.

    Args:
        text: a whole report.
        pid: the process.

    Returns:
        The head and the lines from ``Process: NAME [PID]`` to the next process; "" where it is not there.
    """
    kept: list[str] = []
    head: list[str] = []
    inside, begun = False, False
    for line in text.splitlines():
        if line.startswith(PROCESS):
            begun = True
            inside = name_and_pid(line.removeprefix(PROCESS).strip())[1] == pid
        if inside:
            kept.append(line)
        elif not begun and len(head) < 40:
            head.append(line)
    return "\n".join([*head, *kept]) if kept else ""


def read(text: str) -> Stacks:
    """Reads the section of one process; the first, where there are more."""
    lines = text.splitlines()
    begins = next((index for index, line in enumerate(lines) if line.startswith(PROCESS)), len(lines))
    ends = next((i for i, line in enumerate(lines[begins + 1 :], begins + 1) if line.startswith(PROCESS)), len(lines))
    lines = lines[begins:ends]
    head = fields(lines[:60], "Process", "Architecture")
    process, pid = name_and_pid(head.get("Process", ""))
    threads: list[Draft] = []
    images: list[Image] = []
    for line in lines:
        if match := THREAD.fullmatch(line):
            samples, named = SAMPLES.search(match["rest"]), NAMED.search(match["rest"])
            threads.append(
                Draft(
                    tid=int(match["tid"], 16),
                    name=f"Thread {match['tid']}" + (f" {named[1]}" if named else ""),
                    main="com.apple.main-thread" in line,
                    count=int(samples[1]) if samples else 0,
                )
            )
        elif threads and (match := LINE.fullmatch(line)):
            _frame(threads[-1], match)
        elif image := image_line(line):
            images.append(image)
    return Stacks(
        tool="spindump",
        process=process,
        pid=pid,
        code=head.get("Architecture", ""),
        threads=tuple(each.done() for each in threads),
        images=tuple(images),
    )


def _frame(thread: Draft, match: re.Match[str]) -> None:
    """Adds ``symbol + 8 (image + 4096) [0x1] 1-9``; a line such as ``<truncated backtrace>`` has no image."""
    symbol, rest = match["rest"], ""
    if symbol.startswith("<"):
        symbol = symbol.partition(">")[0] + ">"
    else:
        symbol, _, rest = symbol.rpartition(" (") if " [0x" in symbol else (symbol, "", "")
    image = rest.partition(" + ")[0].partition(")")[0]
    if rest.startswith("<"):  # an image without a name is told by its UUID
        image = ""
    level = len(match["lead"]) + len(match["star"]) - 2
    thread.add(
        symbol=symbol.rpartition(" + ")[0] or symbol,
        image=image,
        count=int(match["count"]),
        depth=level // 2,
        kernel=bool(match["star"]),
    )
