"""What to load: a frozen ``ModelSpec`` with a text form for URLs and the command line."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, cast, get_args
from urllib.parse import parse_qsl, quote, unquote, urlencode

from core import CoreError
from core.runtime.progress import Cancelled

Source = Literal["packaged", "fetched", "hub", "folder", "gguf", "pack"]
DtypeChoice = Literal["auto", "float32", "bfloat16"]
DeviceChoice = Literal["auto", "cpu", "cuda", "mps"]
BackendChoice = Literal["nnsight", "vllm"]

FORMS: Final = (
    "packaged · fetched:smollm2 · hub:owner/name@revision · folder:/path · gguf:/path/x.gguf, "
    "each with options such as ?untrained=0&dtype=bfloat16&device=cpu"
)
_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PACK: Final = re.compile(r"[A-Za-z0-9_-]{1,60}\.[0-9a-f]{12}")
#: Names of models that are neither files nor on the hub, and what any other text is told.
_NAMED: Final = {
    "pack": (_PACK, "names no pack. Open its file first: python -m core unpack FILE."),
    "fetched": (
        re.compile(r"[a-z0-9][a-z0-9-]{0,40}"),
        "names no model of the package index; write it as in fetched:smollm2.",
    ),
}
_REVISION: Final = re.compile(r"[\w.-]+(/[\w.-]+)*")
_REASON_CHARACTERS: Final = 300  # of a library's own message
_SEED_LIMIT: Final = 2**63  # torch.manual_seed takes a signed 64-bit number


class ModelError(CoreError):
    """A model cannot be found, or cannot be used here."""


@contextmanager
def clear_library_errors(
    sentence: str,
    advice: str = "",
    kind: type[CoreError] = ModelError,
    folder: Path | None = None,
) -> Iterator[None]:
    """Say in a sentence what a library makes of files that a person gave.

    Damaged or self-made files make transformers, tokenizers and safetensors raise whatever they
    please, down to a plain ``Exception``; which one says nothing about the file.

    Args:
        sentence: What could not be done, without its full stop; the library's reason follows.
        advice: What to do, after that reason.
        kind: What to raise.
        folder: Where the files lie: its path is left out of the reason.

    Raises:
        CoreError: Of that kind: the library failed in any way.
    """
    try:
        yield
    except (CoreError, Cancelled, MemoryError):
        raise
    except BaseException as error:
        # tokenizers is written in Rust, whose panics come as no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = " ".join(str(error).split())
        if folder is not None:
            reason = reason.replace(f"{folder}/", "").replace(str(folder), folder.name)
        reason = reason[:_REASON_CHARACTERS] or type(error).__name__
        raise kind(f"{sentence}: {reason}{advice and f'. {advice}'}") from error


class SpecError(ModelError):
    """A model was asked for in a way that cannot mean anything."""


@dataclass(frozen=True)
class ModelSpec:
    """What has to be known about a model before anything is read."""

    source: Source = "packaged"
    """Where it comes from: the installed packages, the package index, the hub of Hugging Face, a
    folder, a GGUF file, or a pack: what a model made of some items, without the model."""

    location: str = ""
    """Hub id ``owner/name``, absolute path of the folder or GGUF file, name and first digits of a
    pack, a name that can be fetched, or empty (``packaged``)."""

    revision: str = ""
    """Branch, tag or commit of a hub model, ``main`` if empty; empty for every other source."""

    untrained_seed: int | None = None
    """Seed of an untrained control: same configuration, random weights. None: the real weights."""

    dtype: DtypeChoice = "auto"
    """Number format of weights and states; ``auto``: float32 on cpu, else bfloat16 if supported."""

    device: DeviceChoice = "auto"
    """Where it runs; ``auto``: cuda if there is one, else mps, else cpu."""

    spread: bool = False
    """Place the layers over all GPUs (``device_map="auto"``), for models larger than one."""

    remote: bool = False
    """Run it on a server (nnsight's remote execution, NDIF) instead of here; hub models only."""

    backend: BackendChoice = "nnsight"
    """What reads texts: transformers through nnsight, or vLLM in a process of its own."""

    def __post_init__(self) -> None:
        """Refuse what cannot mean anything, with the reason."""
        _check_choices(self)
        _check_remote(self)
        _check_backend(self)
        _check_place(self)
        seed = self.untrained_seed
        if seed is not None and not 0 <= seed < _SEED_LIMIT:
            raise SpecError(f"The seed of an untrained control is {seed}; use a number from 0 up.")
        if self.source == "hub" and not self.revision:
            object.__setattr__(self, "revision", "main")

    @classmethod
    def parse(cls, text: str) -> "ModelSpec":
        """Read the text form, the inverse of ``str``; relative paths are made absolute.

        Raises:
            SpecError: The text has none of the forms, or an option is unknown.
        """
        head, _, options = text.strip().partition("?")
        source, colon, place = head.partition(":")
        if source not in get_args(Source) or (source == "packaged") == bool(colon):
            raise SpecError(f"Cannot read the model {text!r}. Forms: {FORMS}.")
        place, revision = unquote(place), ""
        if source == "hub":
            place, _, revision = place.partition("@")
        elif place and source not in ("pack", "fetched"):
            place = str(Path(place).expanduser().absolute())
        spec = cls(cast("Source", source), place, revision)
        return _with_options(spec, dict(parse_qsl(options, keep_blank_values=True)))

    def __str__(self) -> str:
        """Return the text form, read back by ``parse``."""
        place = quote(self.location, safe="/@:~+,=!$'()* ") + (
            f"@{self.revision}" if self.source == "hub" else ""
        )
        options = {
            "untrained": self.untrained_seed,
            "dtype": None if self.dtype == "auto" else self.dtype,
            "device": None if self.device == "auto" else self.device,
            "spread": 1 if self.spread else None,
            "remote": 1 if self.remote else None,
            "backend": None if self.backend == "nnsight" else self.backend,
        }
        told = urlencode({name: value for name, value in options.items() if value is not None})
        head = self.source if self.source == "packaged" else f"{self.source}:{place}"
        return f"{head}?{told}" if told else head

    @property
    def label(self) -> str:
        """Short name for people, such as ``gemma-3-270m, untrained copy``."""
        name = Path(self.location).name if self.location else "gemma-3-270m (packaged)"
        if self.source == "pack":
            name = f"{self.location.rpartition('.')[0]}, packed"
        if self.revision not in ("", "main"):
            name += f"@{self.revision[:12]}"
        if self.dtype != "auto":
            name += f", {self.dtype}"
        if self.remote:
            name += ", remote"
        if self.backend != "nnsight":
            name += ", vLLM"
        if self.untrained_seed is None:
            return name
        seed = f", seed {self.untrained_seed}" if self.untrained_seed else ""
        return f"{name}, untrained copy{seed}"

    def untrained(self, seed: int = 0) -> "ModelSpec":
        """Return the spec of this model's untrained control, which transformers reads."""
        return replace(self, untrained_seed=seed, backend="nnsight")

    @property
    def elsewhere(self) -> bool:
        """Tell whether its weights are not in this process: it reads, and nothing else."""
        return self.remote or self.backend != "nnsight"


def _check_choices(spec: ModelSpec) -> None:
    if spec.source not in get_args(Source):
        raise SpecError(f"Unknown source {spec.source!r}. Possible: {', '.join(get_args(Source))}.")
    if cast("str", spec.dtype) == "float16":
        raise SpecError(
            "float16 is refused: its largest number is 65,504 and Gemma's first token alone "
            "reaches 88,064, so states would become infinite. Use bfloat16 or float32."
        )
    if spec.dtype not in get_args(DtypeChoice):
        raise SpecError(
            f"Unknown dtype {spec.dtype!r}. Possible: {', '.join(get_args(DtypeChoice))}."
        )
    if spec.device not in get_args(DeviceChoice):
        raise SpecError(
            f"Unknown device {spec.device!r}. Possible: {', '.join(get_args(DeviceChoice))}."
        )
    if spec.spread and spec.device not in ("auto", "cuda"):
        raise SpecError("spread places layers over several GPUs; it needs device auto or cuda.")


def _check_remote(spec: ModelSpec) -> None:
    if not spec.remote:
        return
    if spec.source != "hub":
        raise SpecError("Only hub models run remotely: remote=1 needs hub:owner/name.")
    if spec.untrained_seed is not None:
        raise SpecError(
            "An untrained copy cannot run remotely: the server holds trained weights. Leave the "
            "control out (--no-control); verdicts then stop short of it."
        )
    if spec.spread or spec.device != "auto":
        raise SpecError("A remote model runs where the server puts it: leave device, spread out.")


def _check_backend(spec: ModelSpec) -> None:
    if spec.backend not in get_args(BackendChoice):
        raise SpecError(
            f"Unknown backend {spec.backend!r}. Possible: {', '.join(get_args(BackendChoice))}."
        )
    if spec.backend == "nnsight":
        return
    if spec.source == "pack" or spec.remote or spec.device != "auto":
        raise SpecError(
            "vLLM reads a model on this machine, where its own Python finds a device: leave "
            "device and remote out, and name no pack."
        )
    if spec.untrained_seed is not None:
        raise SpecError("vLLM reads trained weights; an untrained copy is read without backend.")


def _check_place(spec: ModelSpec) -> None:
    place = spec.location
    if spec.source == "packaged" and place:
        raise SpecError("The packaged model has no location; ask for 'packaged' alone.")
    if spec.source != "hub" and spec.revision:
        raise SpecError("Only hub models have revisions; leave it out.")
    if spec.source == "hub":
        if not _REPO.fullmatch(place) or "--" in place or ".." in place:
            raise SpecError(
                f"{place!r} is not a hub id. Write owner/name, as in hub:google/gemma-3-270m."
            )
        if spec.revision and not _REVISION.fullmatch(spec.revision):
            raise SpecError(f"{spec.revision!r} is no branch, tag or commit of a hub model.")
    named = _NAMED.get(spec.source)
    if named is not None and not named[0].fullmatch(place):
        raise SpecError(f"{place!r} {named[1]}")
    if spec.source in ("folder", "gguf") and not Path(place).is_absolute():
        raise SpecError(f"Give the absolute path of the {spec.source}, not {place!r}.")


def _with_options(spec: ModelSpec, options: Mapping[str, str]) -> ModelSpec:
    unknown = sorted(set(options) - {"untrained", "dtype", "device", "spread", "remote", "backend"})
    if unknown:
        raise SpecError(f"Unknown option {', '.join(unknown)} of a model. Forms: {FORMS}.")
    seed = options.get("untrained")
    if seed is not None and not seed.isdecimal():
        raise SpecError(f"untrained={seed}: give the seed as a whole number, as in untrained=0.")
    for name in ("spread", "remote"):
        if options.get(name, "0") not in ("0", "1"):
            raise SpecError(f"{name} is 0 or 1.")
    return replace(
        spec,
        untrained_seed=None if seed is None else int(seed),
        dtype=cast("DtypeChoice", options.get("dtype", "auto")),
        device=cast("DeviceChoice", options.get("device", "auto")),
        spread=options.get("spread") == "1",
        remote=options.get("remote") == "1",
        backend=cast("BackendChoice", options.get("backend", "nnsight")),
    )


@dataclass(frozen=True)
class KnownModel:
    """One entry of the picker."""

    spec: ModelSpec
    """What to load."""

    note: str
    """Size, licence and gating in one line."""


_GEMMA: Final = "Gemma Terms of Use; gated: accept them on the hub and log in"
#: Offered first in a picker; any other hub id, folder or GGUF file can be typed.
KNOWN: Final[tuple[KnownModel, ...]] = (
    KnownModel(ModelSpec(), "270M, 4-bit GGUF from its packages, no network; Gemma Terms of Use"),
    KnownModel(
        ModelSpec("fetched", "smollm2"),
        "SmolLM2 135M chat, 98 MB 4-bit GGUF from the package index; Apache 2.0",
    ),
    KnownModel(ModelSpec("hub", "google/gemma-3-270m"), f"270M base; {_GEMMA}"),
    KnownModel(ModelSpec("hub", "google/gemma-3-270m-it"), f"270M chat; {_GEMMA}"),
    KnownModel(ModelSpec("hub", "Qwen/Qwen3-0.6B-Base"), "0.6B base; Apache 2.0, open"),
    KnownModel(ModelSpec("hub", "Qwen/Qwen3-0.6B"), "0.6B chat; Apache 2.0, open"),
    KnownModel(ModelSpec("hub", "Qwen/Qwen3-8B-Base"), "8B base, 16 GB; Apache 2.0, open"),
    KnownModel(ModelSpec("hub", "Qwen/Qwen3-8B"), "8B chat, 16 GB; Apache 2.0, open"),
    KnownModel(
        ModelSpec("hub", "meta-llama/Llama-3.1-8B"),
        "8B base, 16 GB; Llama 3.1 Community License; gated: ask for access on the hub and log in",
    ),
)
