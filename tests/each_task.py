"""A program for `test_boundary`: runs gobuild once for each list of words, in a child each, and prints what came of it.

The modules are imported once; each child is a process of its own, as if it had been started so.
"""

import json
import os
import pwd
import sys
import traceback
from pathlib import Path

from gobuild import cli


def _without_entry(uid: int) -> pwd.struct_passwd:
    raise KeyError(uid)


def one(words: list[str], output: Path) -> tuple[int, str]:
    """What gobuild ends with and says."""
    child = os.fork()
    if not child:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = 0
        try:
            sys.argv = ["gobuild", *words]
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, output.read_text(errors="replace")


if __name__ == "__main__":
    if sys.argv[1] == "nobody":  # a container's user: there is no entry for it in the system's list
        pwd.getpwuid = _without_entry
    asked: list[list[str]] = json.loads(sys.stdin.read())
    print(json.dumps([one(words, Path("output")) for words in asked]))
