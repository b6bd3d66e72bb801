"""What a job does: it runs one command and lasts as long. Only words are pickled with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

#: What schedulers send before they stop a job: the job hears it, its command does not.
_WARNINGS: Final = [
    getattr(signal, name) for name in ("SIGUSR2", "SIGTERM") if hasattr(signal, name)
]


class RowCommand:
    """A row's command. Stopped for time it is sent again, and goes on from what is stored."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str | None]
    ) -> None:
        """Take the command.

        Args:
            words: Program and arguments.
            folder: Where it runs.
            environment: What is set in it; None: what is taken out.
        """
        self.words = list(words)
        self.folder = str(folder)
        self.environment = dict(environment)

    def __call__(self) -> None:
        """Run it; its output is the job's.

        Raises:
            SystemExit: It failed, or was killed.
        """
        merged = {**os.environ, **self.environment}
        told = {name: value for name, value in merged.items() if value is not None}
        # Blocked while it starts, so that none is lost on a command without a name yet; what starts
        # then never hears them.
        signal.pthread_sigmask(signal.SIG_BLOCK, _WARNINGS)
        process = subprocess.Popen(self.words, cwd=self.folder, env=told)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WARNINGS)
            status = process.wait()
        except BaseException:  # the job was warned, and is sent again
            process.kill()
            process.wait()
            raise
        if status < 0:
            _say(f"Killed by {signal.Signals(-status).name}: by hand, or for want of memory.")
        if status:
            sys.exit(128 - status if status < 0 else status)

    def checkpoint(self) -> Any:
        """Return what is sent again: the same."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
