"""Slurm and processes of this machine, both through submitit: send, ask, stop, read what was said.

submitit is optional; everything that needs it asks ``submitit()`` for it.
"""

import contextlib
import getpass
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import psutil

from core import CoreError
from core.cluster.command import RowCommand
from core.cluster.rows import Row, Sent
from core.leaderboard.job_needs import DEFAULT_MINUTES, Needs

JobState = Literal["waiting", "running", "over"]

#: How often a row that ran out of time is sent again before it counts as failed.
MOST_TIMEOUTS: Final = 10
#: Seconds between the warning and the end of a row's time.
WARNING_SECONDS: Final = 90
#: The variable that says which GPUs a process sees; submitit hides all of them from its jobs.
_SEEN: Final = "CUDA_VISIBLE_DEVICES"
#: The program that controls a row's process on this machine.
_CONTROLLER: Final = "submitit.local._local"
_UNKNOWN: Final = "UNKNOWN"
#: Word for a job that sacct does not know and that has left the queue.
_GONE: Final = "ENDED"
_WAITING: Final = ("PENDING", "READY", "REQUEUED", "REQUEUE_HOLD", "PREEMPTED", _UNKNOWN)
_RUNNING: Final = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "RESIZING", "STOPPED")
#: Lines of a log that say nothing of the cause.
_NOISE: Final = ("submitit ", "srun:")


class RefusedError(CoreError):
    """Slurm did not take some rows; others may go."""


def submitit() -> Any:
    """Return the library.

    Raises:
        CoreError: It is not installed.
    """
    try:
        found = import_module("submitit")
    except ImportError as error:
        raise CoreError(
            "Sending rows off needs submitit, which is not installed. Install it with: pip install "
            "-r core/cluster/requirements.txt. Without --on the rows run here, one after the other."
        ) from error
    logging.getLogger("submitit").setLevel(logging.CRITICAL)  # what it says is said here
    return found


# --- sending ---


def send_slurm(
    rows: Sequence[Row], command: Callable[[Row], RowCommand], folder: Path
) -> dict[Row, Sent]:
    """Send rows that need the same as one array.

    Args:
        rows: One or more, of equal needs.
        command: What each runs.
        folder: For scripts and logs; every node sees it.

    Raises:
        RefusedError: Slurm refuses: its own words are told.
        CoreError: There is no Slurm here.
    """
    library = submitit()
    try:
        executor = library.SlurmExecutor(folder, max_num_timeout=MOST_TIMEOUTS)
    except RuntimeError as error:
        raise CoreError(
            "There is no Slurm here: srun was not found. Send rows from a machine that has it, or "
            "choose --on local."
        ) from error
    commands = [command(row) for row in rows]
    options = _slurm_options(rows[0].entry.needs, len(rows), commands[0].folder)
    executor.update_parameters(**options)
    try:
        jobs = executor.submit_array(commands)
    except (RuntimeError, FileNotFoundError) as error:  # all of submitit's own are RuntimeErrors
        who = ", ".join(str(row.number) for row in rows)
        raise RefusedError(
            f"Slurm did not take row {who}: {_sbatch_told(error)}. Mend [cluster] or the row in "
            "the list, and run the same command again."
        ) from error
    return {row: Sent("slurm", job.job_id) for row, job in zip(rows, jobs, strict=True)}


def _slurm_options(needs: Needs, rows: int, folder: str) -> dict[str, Any]:
    """Return what submitit's Slurm executor takes, what is not asked for left out.

    Args:
        needs: What each row asks for.
        rows: Their number.
        folder: Where jobs start: there they find what they are to run.
    """
    options = {
        "job_name": "moralscope",
        "time": needs.time or DEFAULT_MINUTES,
        "partition": needs.partition or None,
        "gpus_per_node": needs.gpus or None,
        "cpus_per_task": needs.cpus,
        "mem": needs.memory and f"{needs.memory}GB",
        "array_parallelism": needs.parallel or rows,
        "signal_delay_s": WARNING_SECONDS,
        "additional_parameters": {"requeue": True, "chdir": folder, **dict(needs.sbatch)},
    }
    return {name: value for name, value in options.items() if value is not None}


def _sbatch_told(error: Exception) -> str:
    """Return sbatch's own words in one line."""
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in _lines(str(error))]
    return "; ".join(dict.fromkeys(line.rstrip(".") for line in lines)) or type(error).__name__


def send_local(row: Row, command: RowCommand, folder: Path) -> Sent:
    """Start a row as a process of this machine; it outlives this one.

    Args:
        row: Which.
        command: What it runs; it says itself which GPUs are seen.
        folder: For logs.
    """
    executor = submitit().LocalExecutor(folder, max_num_timeout=MOST_TIMEOUTS)
    minutes = row.entry.needs.time or DEFAULT_MINUTES
    executor.update_parameters(
        timeout_min=minutes, signal_delay_s=min(WARNING_SECONDS, 30 * minutes)
    )
    job = executor.submit(command)
    _STARTED[job.job_id] = job
    return Sent("local", job.job_id)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hear Ctrl-C only afterwards; processes that are started meanwhile never hear it.

    In a terminal it reaches every process: who started rows stops them, in good order, and has to
    know all of them by then.

    Raises:
        KeyboardInterrupt: Afterwards, if it came meanwhile and is not ignored, as under ``nohup``.
    """
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    # A process inherits what its starter's thread blocks; other threads hear it all the same.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if heard and before is not signal.SIG_IGN:
        raise KeyboardInterrupt


def gpus_seen(gpus: int | None, slot: int) -> dict[str, str | None]:
    """Return what a row's environment says of GPUs, for rows side by side on this machine.

    Args:
        gpus: How many it asks for; None: it sees all that are seen here.
        slot: Which of the places side by side it has, from 0.
    """
    seen = os.environ.get(_SEEN)
    if gpus is None:
        return {_SEEN: seen}
    here = seen.split(",") if seen else [str(one) for one in range(_gpus_here())]
    # More rows than GPUs share them: without one a row would quietly run on the processor.
    mine = [here[(slot * gpus + one) % len(here)] for one in range(gpus)] if here else []
    return {_SEEN: ",".join(dict.fromkeys(mine))}


def _gpus_here() -> int:
    import torch

    return torch.cuda.device_count()


#: Jobs that this process has started: their processes are its children, and are waited for.
_STARTED: Final[dict[str, Any]] = {}


def run_here(work: Callable[[], object], folder: Path) -> None:
    """Run some work through submitit's executor for debugging: in this process, now.

    Raises:
        CoreError: What the work raised.
    """
    # The job's own way to its result opens a debugger at errors, and leaves its logs open.
    submitit().DebugExecutor(folder).submit(work).submission().result()


def this_job() -> Sent | None:
    """Return the job of Slurm that this process runs in, None if it runs in none."""
    array, own = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array and task else own
    return Sent("slurm", job) if job else None


# --- asking ---


class JobTold(NamedTuple):
    """How a job stands."""

    state: JobState
    """Whether it waits, runs or is over, however it ended."""

    told: str
    """The scheduler's word for it, in lower case; where it runs if not here."""


def ask(sent: Mapping[Row, Sent], folder: Path) -> dict[Row, JobTold]:
    """Ask how jobs stand; Slurm is asked once for all.

    Args:
        sent: How each row was sent.
        folder: Where their logs lie.
    """
    slurm = {row: one for row, one in sent.items() if one.on == "slurm"}
    words = _slurm_words([one.job for one in slurm.values()], folder) if slurm else {}
    return {
        row: _slurm_told(words[one.job]) if row in slurm else _local_told(one)
        for row, one in sent.items()
    }


def _slurm_words(jobs: Sequence[str], folder: Path) -> dict[str, str]:
    """Return Slurm's word for each job: from sacct, or where that keeps no accounts from squeue."""
    known = [submitit().SlurmJob(folder, job) for job in jobs]  # all, so that one question is asked
    words = {job.job_id: str(job.state) for job in known}
    if _UNKNOWN not in words.values():
        return words
    queue = _queue()
    if queue is None:
        return words
    return {job: queue.get(job, _GONE) if word == _UNKNOWN else word for job, word in words.items()}


def _queue() -> dict[str, str] | None:
    """Return the jobs that wait or run, by number; None if squeue does not answer."""
    words = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    lines = (line.split() for line in done.stdout.splitlines())
    return None if done.returncode else {line[0]: line[1] for line in lines if len(line) == 2}


def _slurm_told(word: str) -> JobTold:
    plain = word.split(" ")[0].rstrip("+").upper()  # "CANCELLED by 1000", "CANCELLED+"
    if plain in _WAITING:
        unknown = plain == _UNKNOWN
        return JobTold("waiting", "Slurm does not tell" if unknown else plain.lower())
    return JobTold("running" if plain in _RUNNING else "over", plain.lower().replace("_", " "))


def _local_told(sent: Sent) -> JobTold:
    if sent.host != socket.gethostname():
        return JobTold("running", f"on {sent.host}, which can be asked only there")
    started = _STARTED.get(sent.job)
    if started is not None and started.done():
        return JobTold("over", "ended")
    return JobTold("running", "") if _controller(sent) else JobTold("over", "ended")


def runs(sent: Sent) -> bool:
    """Tell whether a job of this machine still runs."""
    return sent.host == socket.gethostname() and _local_told(sent).state == "running"


def _controller(sent: Sent) -> psutil.Process | None:
    """Return the process that controls a row here, None if it has ended."""
    with contextlib.suppress(psutil.Error, ValueError):
        process = psutil.Process(int(sent.job))
        if _CONTROLLER in process.cmdline():  # numbers of processes are used again
            return process
    return None


# --- stopping ---


def stop(sent: Sent) -> None:
    """Stop a job; what it stored stays.

    Raises:
        CoreError: It cannot be reached from here.
    """
    if sent.on == "slurm":
        _scancel(sent.job)
        return
    if sent.host != socket.gethostname():
        raise CoreError(f"It runs on {sent.host}: stop it there.")
    process = _controller(sent)
    if process is None:
        return
    family = [process, *process.children(recursive=True)]
    for one in family:  # the controller first, so that it starts nothing anew
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    if sent.job in _STARTED:
        _STARTED[sent.job]._process.wait()
    psutil.wait_procs(family, timeout=5)


def _scancel(job: str) -> None:
    try:
        done = subprocess.run(["scancel", job], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CoreError("There is no Slurm here: scancel was not found.") from error
    if done.returncode:
        told = " ".join(_lines(done.stderr)) or f"status {done.returncode}"
        raise CoreError(f"Slurm did not stop job {job}: {told}.")


# --- what was said ---


def logs(sent: Sent, folder: Path) -> tuple[Path, Path]:
    """Return where a job's output and its messages lie; they may not be there yet."""
    return folder / f"{sent.job}_0_log.out", folder / f"{sent.job}_0_log.err"


def last_words(sent: Sent, folder: Path) -> str:
    """Return the last line of a job's messages that says something; empty if there is none."""
    with contextlib.suppress(OSError):
        lines = _lines(logs(sent, folder)[1].read_text(errors="replace"))
        return next((line for line in reversed(lines) if not line.startswith(_NOISE)), "")
    return ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
