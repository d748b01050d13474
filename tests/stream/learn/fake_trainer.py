"""Program in the place of the trainer: it does what the name of the task's folder says."""

from __future__ import annotations

import os
import signal
import sys
import time

from stream.learn.process import Job
from stream.learn.report import Outcome, Progress, encode


def main() -> None:
    """Report, and end as asked."""
    job = Job.decode(sys.stdin.buffer.readline())
    out = sys.stdout.buffer
    job.folder.with_suffix(".pid").write_text(str(os.getpid()))
    out.write(b"a library says something\n")
    out.write(encode(Progress("training", "liquid", 0.25)))
    out.flush()
    act = job.folder.name
    if act == "hangs":
        time.sleep(600)
    if act == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    out.write(encode(Outcome("published", f"after {job.after}")))
    out.flush()


if __name__ == "__main__":
    main()
