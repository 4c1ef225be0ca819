"""A process that has imported everything once and forks a child for every job it reads.

One JSON object a line. ``{"code", "env", "out"}`` starts a child that executes the code with its
output in the file ``out``; the answer is its process id. ``{"wait": pid}`` is answered with how it
ended: its exit code, or the negated signal that killed it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

import accelerate  # noqa: F401
import peft  # noqa: F401

import sample.generate  # noqa: F401
import synth.cli
import synth.families.sd  # noqa: F401
import train.run  # noqa: F401


def child(code: str, env: dict[str, str], out: str) -> None:
    status = 1
    try:
        os.environ.update(env)
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in (1, 2):
            os.dup2(file, number)
        exec(code, {"__name__": "job"})
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except Exception:  # noqa: BLE001  whatever it is, the test shall read of it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            _, status = os.waitpid(job["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                child(job["code"], job["env"], job["out"])
        print(answer, flush=True)  # noqa: T201


main()
