"""The `gobuild` program as another process's child: `python -m gobuild.tasks.child PID WORDS`. It never outlives PID.

A build nobody waits for would go on for minutes, in a folder that somebody else may want. PR_SET_PDEATHSIG ends it too,
but on Linux alone, and it takes the end of the *thread* that made the child for the end of the parent.
"""

import os
import signal
import sys
import threading
import time

from gobuild.cli import main

EVERY = 0.5
"""Seconds between two looks."""


def watch(parent: int) -> None:
    """Ends this process as if by SIGTERM, with all the clean-up, once its parent is another one than it was."""
    while os.getppid() == parent:
        time.sleep(EVERY)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=watch, args=(int(sys.argv.pop(1)),), daemon=True).start()
    main()
