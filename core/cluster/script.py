"""The same jobs as a script for people who want to read it first: plain sbatch, no submitit."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from core.cluster.command import RowCommand
from core.cluster.rows import Row
from core.cluster.schedulers import WARNING_SECONDS
from core.leaderboard.job_needs import DEFAULT_MINUTES, Needs
from core.wording import Lines


def script(rows: Sequence[Row], command: Callable[[str], RowCommand], folder: Path) -> Lines:
    """Yield a shell script that sends rows, those of equal needs as one array.

    Args:
        rows: Which.
        command: What a job runs, given the shell's word for the row's number.
        folder: For logs.
    """
    yield "#!/bin/sh"
    yield "# Sends the rows of a sweep to Slurm: sh THIS-FILE. A row that runs out of time is put"
    yield "# back into the queue and goes on from what is stored."
    for needs in dict.fromkeys(row.entry.needs for row in rows):
        together = [row for row in rows if row.entry.needs == needs]
        yield ""
        names = ", ".join(f"{row.number} {row.entry.name}" for row in together)
        yield f"# {' '.join(names.split())}"
        yield "sbatch <<'END'"
        yield "#!/bin/bash"
        yield from (f"#SBATCH --{one}" for one in _options(needs, together, folder))
        yield from _body(command("$SLURM_ARRAY_TASK_ID"))
        yield "END"


def _options(needs: Needs, rows: Sequence[Row], folder: Path) -> list[str]:
    numbers = ",".join(str(row.number) for row in rows)
    told = {
        "job-name": "moralscope",
        "array": f"{numbers}%{needs.parallel or len(rows)}",
        "partition": needs.partition,
        "time": needs.time or DEFAULT_MINUTES,
        "gpus-per-node": needs.gpus,
        "cpus-per-task": needs.cpus,
        "mem": needs.memory and f"{needs.memory}GB",
        "output": folder / "%A_%a_0_log.out",
        "error": folder / "%A_%a_0_log.err",
        "open-mode": "append",
        "signal": f"B:USR2@{WARNING_SECONDS}",
        **dict(needs.sbatch),
    }
    return [
        *(f"{name}={shlex.quote(str(value))}" for name, value in told.items() if value),
        "requeue",
    ]


def _body(command: RowCommand) -> Lines:
    yield f"cd {shlex.quote(command.folder)} || exit 1"
    for name, value in command.environment.items():
        yield f"export {name}={shlex.quote(value or '')}"
    # bash hears a signal only between commands: the row runs behind it, and is waited for.
    yield "job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    yield "trap 'kill -KILL $row; scontrol requeue $job' USR2"
    words = (word if word.startswith("--row=") else shlex.quote(word) for word in command.words)
    yield f"{' '.join(words)} &"
    yield "row=$!"
    yield "wait $row"
