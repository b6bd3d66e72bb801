"""Moralscope without a browser: ``python -m core``. Results to stdout, progress to stderr."""

import os

# Before anything loads torch: libgomp's waiting threads spin, which with one busy neighbour slows
# reading six times.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import io
import sys
from collections.abc import Sequence
from typing import Final

from core import CoreError
from core.cli.desk import Desk
from core.cli.parser import parser
from core.cli.progress_line import say, watch
from core.runtime.memory import share_heap
from core.workbench import Workbench

#: Exit statuses: what a person can mend; Ctrl-C and a closed pipe, as shells count them.
MENDABLE: Final = 2
STOPPED: Final = 130
CLOSED: Final = 141
KEPT: Final = "Stopped. What was finished is kept: the same command goes on from there."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: What stands behind ``python -m core``; None: as the process was started.

    Returns:
        Exit status: 0, 2 for what a person can mend, 130 after Ctrl-C.
    """
    args = parser().parse_args(argv)
    args.words = sys.argv[1:] if argv is None else list(argv)
    _forgive_characters()
    try:
        for line in args.run(Desk(Workbench.at(), watch, say), args):
            print(line, flush=True)
    except CoreError as error:
        print(error, file=sys.stderr)
        return MENDABLE
    except KeyboardInterrupt:
        print(KEPT, file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except OSError as error:
        print(f"{error.filename or 'The system'}: {error.strerror}.", file=sys.stderr)
        return MENDABLE
    return 0


def _forgive_characters() -> None:
    """Write a question mark where a terminal's alphabet lacks a letter, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run() -> None:
    """Run the command the process was started for, and end the process."""
    share_heap()
    status = main()
    if status == STOPPED:  # a job may still hold threads of torch, which would abort the exit
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    _run()
