"""What is known about a model before its weights are loaded: identity, size, device, licence."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from core.models import fetched, gguf, hub
from core.models.devices import ITEM_BYTES, Dtype, Place, choose_place, room
from core.models.folder import (
    Shape,
    check_folder,
    count_from_config,
    folder_digest,
    licence_of,
    read_config,
    read_shape,
    read_weights,
    refuse_recurrent,
    tokenizer_files,
)
from core.models.gguf_header import GgufHeader, check_length, read_header
from core.models.spec import ModelError, ModelSpec
from core.models.tokenizers import ENDS_OFF, ends_mark
from core.runtime.progress import Report, silent
from core.runtime.store import Store, content_sha256, fingerprint, library_version
from core.runtime.torch_device import Device
from core.wording import bytes_text, gigabytes

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_GGUF_LICENCE: Final = "not stated in the file"
#: Working space beside the weights: states, a batch's logits over a large vocabulary, libraries.
_WORKSPACE_BYTES: Final = 600_000_000
_WORKSPACE_SHARE: Final = 0.1


@dataclass(frozen=True)
class ModelCard:
    """A described model: everything a picker, a cache key or a receipt needs."""

    spec: ModelSpec
    """What was asked for."""

    identity: str
    """Content identity: ``gguf:<sha256>``, ``hub:owner/name@<commit>``, ``folder:<sha256>``,
    ``untrained:<sha256>``, ``remote:owner/name@<commit>`` or ``pack:<sha256>``; the same content
    anywhere has the same identity. ``;ends-off`` behind it: tokens that the tokenizer puts behind
    every text are taken off."""

    name: str
    """Short name for people, as ``ModelSpec.label``."""

    architecture: str
    """Class in transformers, such as ``Gemma3ForCausalLM``."""

    n_layers: int
    """Number of decoder layers."""

    d_model: int
    """Width of the residual stream."""

    vocabulary: int
    """Rows of the embedding matrix."""

    n_parameters: int
    """Weights, tied ones counted once."""

    weight_bytes: int
    """Size of the weights in ``dtype``."""

    needed_bytes: int
    """Estimate of the memory needed to run it: weights and working space."""

    free_bytes: int
    """Memory free on the chosen device when the card was made."""

    total_bytes: int
    """Memory of the chosen device in all."""

    device: Device
    """Device chosen."""

    dtype: Dtype
    """Number format chosen."""

    reason: str
    """Why this device and number format, in one sentence."""

    licence: str
    """Licence in one line."""

    folder: Path | None
    """Folder with the weights where they lie locally; None: conversion or download comes first."""

    commit: str = ""
    """Commit of a hub model, 40 hex digits; empty for every other source."""

    engine: str = ""
    """What computes and its version, such as ``vllm 0.32.0``; empty: torch in this process."""

    receipts: tuple[Mapping[str, Any], ...] = field(default=(), repr=False, compare=False)
    """Receipts that a packed model brought along; empty for every other source."""

    @property
    def packed(self) -> bool:
        """Tell whether only what it made of some items is here, not the model itself."""
        return self.spec.source == "pack"

    @property
    def fits(self) -> bool:
        """Tell whether it fits into what was free when the card was made."""
        return self.needed_bytes <= self.free_bytes

    @property
    def memory(self) -> str:
        """What it needs and what is free, for people; empty if it lies in no memory of ours."""
        if self.spec.elsewhere or self.packed:
            return ""
        needed, free, total = map(
            bytes_text, (self.needed_bytes, self.free_bytes, self.total_bytes)
        )
        fits = "fits" if self.fits else "does NOT fit now: close other programs"
        return f"needs about {needed}, {free} of {total} free: {fits}"

    @property
    def compute(self) -> str:
        """How it computes: what or where, and number format, such as ``cpu float32``."""
        return f"{self.engine or self.device} {self.dtype}"

    @property
    def key(self) -> dict[str, str]:
        """The model's part of a cache key: identity and number format."""
        return {"model": self.identity, "dtype": self.dtype}


@dataclass(frozen=True)
class _Found:
    """What a source tells about its model."""

    identity: str
    shape: Shape
    n_parameters: int
    licence: str
    folder: Path | None
    commit: str = ""


def describe(spec: ModelSpec, store: Store, report: Report = silent) -> ModelCard:
    """Describe a model without loading its weights.

    The first description of a large folder or GGUF file reads it once to identify it; the digest
    is remembered in the store.

    Raises:
        ModelError: It is unknown, gated, out of reach offline, no causal language model, of an
            unsupported architecture, without safetensors weights or tokenizer, in need of remote
            code, or too large for this machine.
        GgufError: The GGUF file or its packages cannot be used.
    """
    if spec.source == "pack":
        return _describe_packed(spec, store)
    place = choose_place(spec)
    found = _SOURCES[spec.source](spec, store, report)
    space = room(place.device, spread=spec.spread)
    card = ModelCard(
        spec=spec,
        identity=_untrained_identity(spec, found) if _is_control(spec) else found.identity,
        name=spec.label,
        architecture=found.shape.architecture,
        n_layers=found.shape.n_layers,
        d_model=found.shape.d_model,
        vocabulary=found.shape.vocabulary,
        n_parameters=found.n_parameters,
        weight_bytes=found.n_parameters * ITEM_BYTES[place.dtype],
        needed_bytes=needed_bytes(found.n_parameters, place, spec),
        free_bytes=space.free,
        total_bytes=space.total,
        device=place.device,
        dtype=place.dtype,
        reason=place.reason,
        licence=found.licence,
        folder=found.folder,
        commit=found.commit,
        engine=place.engine,
    )
    _refuse_oversize(card)
    return card


class ModelSize(NamedTuple):
    """How large a model is, whatever machine asks."""

    parameters: int
    """Weights, tied ones counted once."""

    layers: int
    """Decoder layers."""

    width: int
    """Width of the residual stream."""


def size_of(spec: ModelSpec, store: Store, *, network: bool) -> ModelSize | None:
    """Return a model's size from its files; weights are not loaded, no device is chosen.

    Args:
        spec: Any model but a packed one.
        store: Where digests of its files are remembered.
        network: Whether the hub may be asked.

    Returns:
        None: it is on the hub, nothing of it was downloaded before, and the hub may not be asked.

    Raises:
        ModelError: It cannot be read.
    """
    if spec.source == "hub" and not network:
        folder = hub.cached_config(spec)
        if folder is None:
            return None
        config = read_config(folder, spec.location)
        shape = read_shape(config, spec.location)
        return ModelSize(count_from_config(config), shape.n_layers, shape.d_model)
    found = _SOURCES[spec.source](spec, store, silent)
    return ModelSize(found.n_parameters, found.shape.n_layers, found.shape.d_model)


#: Kind of the artefacts that say which packs were opened.
PACK_KIND: Final = "pack"
#: Why no packed model can be asked anything new.
PACKED: Final = (
    "packed model: cannot run new text. Its maps and figures are here, its weights are not; open "
    "the model itself to read other texts"
)


def packed_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a pack must say about a model, each of its kind.

    Raises:
        KeyError: Something is missing.
        TypeError: Something is of another kind.
    """
    numbers = ("n_layers", "d_model", "vocabulary", "n_parameters", "weight_bytes")
    texts = ("identity", "name", "architecture", "device", "dtype", "licence", "commit")
    kinds: dict[str, type] = dict.fromkeys(numbers, int) | dict.fromkeys(texts, str)
    for name, kind in kinds.items():
        if not isinstance(record[name], kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    return {name: record[name] for name in kinds}


def _describe_packed(spec: ModelSpec, store: Store) -> ModelCard:
    """Describe a model by what its pack says; no library of models is loaded."""
    digits = spec.location.rpartition(".")[2]
    opened = [one for one in store.artefacts(PACK_KIND) if str(one.key["pack"]).startswith(digits)]
    folder = store.open(PACK_KIND, opened[0].key) if opened else None
    if folder is None:
        raise ModelError(
            f"The pack {spec.location} has not been opened here. Open its file on the Data page, "
            "or with: python -m core unpack FILE."
        )
    versions = opened[0].key["versions"]
    if versions != {name: library_version(name) for name in versions}:
        raise ModelError(
            f"Libraries were updated since the pack {spec.location} was opened. Open its file "
            "again: python -m core unpack FILE."
        )
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return _packed_card(spec, manifest, str(opened[0].key["pack"]))


def _packed_card(spec: ModelSpec, manifest: Mapping[str, Any], sha256: str) -> ModelCard:
    control = spec.untrained_seed is not None
    record = manifest["untrained" if control else "model"]
    if record is None:
        raise ModelError(
            f"The pack {spec.location} holds no untrained copy: verdicts stop short of it."
        )
    facts = packed_record(record)
    identity = f"pack:{sha256}" + (":untrained" if control else "")
    facts |= {"identity": identity, "name": f"{facts['name']}, packed", "reason": PACKED}
    return ModelCard(
        spec=spec,
        folder=None,
        receipts=tuple(manifest["receipts"]),
        needed_bytes=0,
        free_bytes=0,
        total_bytes=0,
        **facts,
    )


def _is_control(spec: ModelSpec) -> bool:
    return spec.untrained_seed is not None


def needed_bytes(n_parameters: int, place: Place, spec: ModelSpec) -> int:
    """Estimate weights plus working space; random weights are first drawn in float32 on the CPU.

    Args:
        n_parameters: Weights.
        place: Where it runs.
        spec: What is asked for.
    """
    if spec.remote:
        return 0
    drawn = _is_control(spec) and place.device == "cpu"
    size = n_parameters * ITEM_BYTES["float32" if drawn else place.dtype]
    return int(size * (1 + _WORKSPACE_SHARE)) + _WORKSPACE_BYTES


def _refuse_oversize(card: ModelCard) -> None:
    if card.needed_bytes > card.total_bytes:
        raise ModelError(
            f"{card.name} is too large for this machine: it needs about "
            f"{gigabytes(card.needed_bytes)} on {card.device} in {card.dtype}, which has "
            f"{gigabytes(card.total_bytes)}. Choose a smaller model{_lighter(card)}."
        )


def _lighter(card: ModelCard) -> str:
    return ", or dtype=bfloat16 at half the size" if card.dtype == "float32" else ""


def _untrained_identity(spec: ModelSpec, found: _Found) -> str:
    """Identify random weights by what they are drawn from: model, seed, library versions."""
    drawn = {
        "from": found.identity,
        "seed": spec.untrained_seed,
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
    return f"untrained:{fingerprint(drawn)}"


def _find_packaged(spec: ModelSpec, store: Store, report: Report) -> _Found:
    del report  # nothing large is read: the pieces are checked when they are converted
    licence = gguf.packaged_licence().summary
    return _from_header(spec, store, gguf.packaged_header(), gguf.PACKAGED_SHA256, licence)


def _find_fetched(spec: ModelSpec, store: Store, report: Report) -> _Found:
    del report  # all that is asked here is known before it is fetched
    one = fetched.fetchable(spec.location)
    shape = Shape(one.architecture, one.n_layers, one.d_model, one.vocabulary)
    folder = gguf.converted_folder(store, one.sha256)
    return _Found(f"gguf:{one.sha256}", shape, one.n_parameters, one.licence, folder)


def _find_gguf(spec: ModelSpec, store: Store, report: Report) -> _Found:
    path = Path(spec.location)
    header = read_header(path)
    check_length(path, header)
    stated = header.fields.get("general.license")
    licence = f"{stated.value} (stated in the file)" if stated else _GGUF_LICENCE
    found = _from_header(spec, store, header, content_sha256(store, path, report), licence)
    ends = header.fields.get("tokenizer.ggml.add_eos_token")
    return replace(found, identity=f"{found.identity}{ENDS_OFF}") if ends and ends.value else found


def _from_header(
    spec: ModelSpec, store: Store, header: GgufHeader, sha256: str, licence: str
) -> _Found:
    folder = gguf.converted_folder(store, sha256)
    if folder is None:  # what was converted once needs no check
        gguf.check_architecture(header)
    shape = Shape(
        _architecture(header.architecture, spec.label),
        header.number("block_count"),
        header.number("embedding_length"),
        header.number("vocab_size") or header.vocabulary,
    )
    return _Found(f"gguf:{sha256}", shape, header.n_parameters, licence, folder)


def _architecture(kind: str, name: str) -> str:
    """Return the class in transformers for llama.cpp's name of an architecture."""
    refuse_recurrent(kind, name)
    found = gguf.causal_class(kind)
    if found is None:
        raise ModelError(
            f"{name} is {kind}, not a causal language model. Choose one that predicts the next "
            "token."
        )
    return found


def _find_folder(spec: ModelSpec, store: Store, report: Report) -> _Found:
    folder = Path(spec.location)
    check_folder(folder)
    config = read_config(folder, folder.name)
    shape = read_shape(config, folder.name)
    files = tokenizer_files(folder)
    if _is_control(spec):
        count = count_from_config(config)
    else:
        weights = read_weights(folder, folder.name)
        files, count = [*files, *weights.files], weights.n_parameters
    digest = folder_digest(store, folder, files, report)
    identity = f"folder:{digest}{ends_mark(store, folder, folder.name, report)}"
    return _Found(identity, shape, count, licence_of(folder), folder)


def _find_hub(spec: ModelSpec, store: Store, report: Report) -> _Found:
    report(0, 1, f"Asking the hub for {spec.location}")
    elsewhere = _is_control(spec) or spec.remote  # no weights of the hub's come here
    release = hub.find_release(spec, weights=not elsewhere)
    config = read_config(hub.download_config(spec, release), spec.location)
    shape = read_shape(config, spec.location)
    count = release.n_parameters
    if count is None or _is_control(spec):
        count = _count_hub(config, release.folder, spec.location, control=elsewhere)
    # A server does not tell the commit it holds: this is the one that the hub names now.
    identity = f"{'remote' if spec.remote else 'hub'}:{spec.location}@{release.commit}"
    identity += ends_mark(store, hub.download_tokenizer(spec, release), spec.location, report)
    return _Found(identity, shape, count, release.licence, release.folder, release.commit)


def _count_hub(config: "PretrainedConfig", folder: Path | None, name: str, *, control: bool) -> int:
    if control or folder is None:
        return count_from_config(config)
    return read_weights(folder, name).n_parameters


_SOURCES: Final = {
    "packaged": _find_packaged,
    "fetched": _find_fetched,
    "gguf": _find_gguf,
    "folder": _find_folder,
    "hub": _find_hub,
}
