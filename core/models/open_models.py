"""Open models: weights, tokenizer, where the layers are, and the lock that guards them.

``describe`` needs no weights; ``open_model`` loads them; ``Shelf`` holds what is open in this
process. torch, transformers and nnsight are imported inside functions: they take seconds.
"""

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.models import fetched, gguf, hub, remote_host
from core.models.card import PACKED, ModelCard, describe
from core.models.devices import release, room, torch_dtype
from core.models.gguf_header import GgufError
from core.models.opened import OpenModel
from core.models.quiet import ignore_names, quiet
from core.models.served import Served
from core.models.spec import (
    KNOWN,
    KnownModel,
    ModelError,
    ModelSpec,
    SpecError,
    clear_library_errors,
)
from core.models.states_kept import kept_check, kept_own
from core.models.tokenizers import open_tokenizer
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store
from core.wording import gigabytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "KNOWN",
    "GgufError",
    "KnownModel",
    "ModelCard",
    "ModelError",
    "ModelSpec",
    "OpenModel",
    "Shelf",
    "SpecError",
    "describe",
    "find_layers",
    "open_model",
]

_WAIT_SECONDS: Final = 0.5


def open_model(card: ModelCard, store: Store, report: Report = silent) -> OpenModel:
    """Load the weights of a described model; convert or download them first if need be.

    Random weights of an untrained control are drawn on the CPU in float32 from a generator state
    that is put back afterwards, so the same seed gives the same weights on every device. A thread
    that draws from torch's global generator at the same moment would disturb them.

    Before a model is handed out for the first time, ``states_check`` proves that its states can be
    read; of one that runs remotely nothing is proven. For vLLM the model is opened here once, in
    transformers, to be held against.

    Raises:
        ModelError: It no longer fits into memory, is incomplete, cannot be downloaded, or its
            states are not what is read from its layers.
        GgufError: The GGUF file or its packages cannot be used.
        Cancelled: The report asked to stop.
    """
    if card.packed:
        raise ModelError(f"{card.name} is a {PACKED}.")
    if card.spec.remote:
        remote_host.key()  # before anything is downloaded
    folder = _fetch(card, store, part(report, 0.0, 0.8))
    _check_free(card)
    with quiet():
        return _open(card, folder, store, report)


def _open(card: ModelCard, folder: Path, store: Store, report: Report) -> OpenModel:
    """Open what lies in a folder, and check it."""
    report(0.8, 1.0, f"Opening the tokenizer of {card.name}")
    tokenizer = _open_tokenizer(card, folder)
    release(card.device)  # reading a vocabulary leaves 0.2 GB in pieces, beside which weights come
    if card.spec.elsewhere:
        outline = _outline(replace(card, folder=folder), tokenizer)
        return outline if card.spec.remote else _serve(outline, store, part(report, 0.85, 1.0))
    report(0.85, 1.0, f"Loading the weights of {card.name}")
    seed = card.spec.untrained_seed
    module = _load(card, folder) if seed is None else _draw(card, folder, seed)
    model = _wrap(replace(card, folder=folder), module, tokenizer)
    report(0.95, 1.0, f"Checking the states of {card.name} against transformers")
    kept_check(store, model.card, model).get()
    report(1.0, 1.0, f"{card.name} is open")
    return model


def _fetch(card: ModelCard, store: Store, report: Report) -> Path:
    """Return the local folder of the model, made if need be."""
    if card.folder is not None:
        return card.folder
    if card.spec.source == "packaged":
        return gguf.convert_packaged(store, report)
    if card.spec.source == "fetched":
        file = fetched.fetch(store, card.spec.location, part(report, 0.0, 0.3))
        return gguf.convert_file(file, store, part(report, 0.3, 1.0))
    if card.spec.source == "gguf":
        return gguf.convert_file(Path(card.spec.location), store, report)
    exact = replace(card.spec, revision=card.commit)  # a branch may have moved since
    weights = card.spec.untrained_seed is None and not card.spec.remote
    return hub.download(exact, hub.find_release(exact, weights=weights), report)


def _check_free(card: ModelCard) -> None:
    free = room(card.device, spread=card.spec.spread).free
    if card.needed_bytes > free:
        raise ModelError(
            f"{card.name} needs about {gigabytes(card.needed_bytes)} on {card.device} in "
            f"{card.dtype}; {gigabytes(free)} of {gigabytes(card.total_bytes)} are free. Close "
            "other programs, or choose a smaller model."
        )


def _open_tokenizer(card: ModelCard, folder: Path) -> "PreTrainedTokenizerBase":
    converted = card.spec.source in ("packaged", "fetched", "gguf")
    tokenizer = gguf.open_tokenizer(folder) if converted else open_tokenizer(folder, card.name)
    _settle_padding(card, tokenizer)
    return tokenizer


def _settle_padding(card: ModelCard, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give a tokenizer a pad token that the model has a row for; padding is masked, any will do."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(f"The tokenizer of {card.name} has neither a pad nor an end token.")
        tokenizer.pad_token = tokenizer.eos_token
    if int(tokenizer.pad_token_id) >= card.vocabulary:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)


def _load(card: ModelCard, folder: Path) -> "PreTrainedModel":
    """Load the weights straight onto their device, in their number format."""
    from transformers import AutoModelForCausalLM

    failure = f"The weights of {card.name} do not load"
    with clear_library_errors(failure, folder=folder):
        module, info = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch_dtype(card.dtype),
            device_map=_device_map(card),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told below, with their names
        )
    _refuse_mismatched(card, info["mismatched_keys"])
    missing = sorted(info["missing_keys"])
    if missing:  # transformers would leave them random
        raise ModelError(
            f"The weights of {card.name} are incomplete: {len(missing)} are missing, such as "
            f"{missing[0]}. Copy or download the folder again."
        )
    return _at_rest(card, module)


def _refuse_mismatched(card: ModelCard, found: Iterable[tuple[Any, ...]]) -> None:
    """Refuse weights of other sizes than the configuration says; they would be left random."""
    wrong = sorted((str(name), tuple(stored), tuple(wanted)) for name, stored, wanted in found)
    if not wrong:
        return
    name, stored, wanted = wrong[0]
    others = f", and {len(wrong) - 1} more differ" if wrong[1:] else ""
    raise ModelError(
        f"The weights of {card.name} do not fit its configuration: {name} is "
        f"{' × '.join(map(str, stored))} in the file and {' × '.join(map(str, wanted))} by "
        f"config.json{others}. Correct that, or copy the model again."
    )


def _device_map(card: ModelCard) -> Any:
    if card.spec.spread:
        return "auto"
    return None if card.device == "cpu" else {"": card.device}


def _draw(card: ModelCard, folder: Path, seed: int) -> "PreTrainedModel":
    """Build the untrained control: the model's own configuration and initialisation, seeded."""
    import torch

    from core.models.folder import read_config

    config = read_config(folder, card.name)
    with torch.random.fork_rng(devices=[]):  # the CPU's generator only: no other is drawn from
        torch.default_generator.manual_seed(seed)
        with clear_library_errors(f"transformers cannot build a {config.model_type} model"):
            module = _random_weights(config)
    module = module.to(torch_dtype(card.dtype))
    if card.spec.spread:
        from accelerate import dispatch_model, infer_auto_device_map

        split = infer_auto_device_map(module, no_split_module_classes=module._no_split_modules)
        return _at_rest(card, dispatch_model(module, split))
    return _at_rest(card, module.to(card.device))


def _random_weights(config: Any) -> "PreTrainedModel":
    """Return what transformers draws for a configuration, float32.

    A head that is the embedding is not drawn besides, only to be thrown away: over 262,000 words
    that takes 0.7 GB. The decoder is drawn first, so that its weights do not hang on that.
    """
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    how = {"dtype": torch.float32, "trust_remote_code": False}
    with torch.device("meta"):
        module: PreTrainedModel = AutoModelForCausalLM.from_config(config, **how)
    first = next(name for name, _ in module.named_children())
    outside = {name for name, _ in module.named_parameters() if not name.startswith(f"{first}.")}
    if first != module.base_model_prefix or outside - set(module.all_tied_weights_keys):
        return AutoModelForCausalLM.from_config(config, **how)
    setattr(module, first, AutoModel.from_config(config, **how))
    module.tie_weights()
    return module


def _at_rest(card: ModelCard, module: "PreTrainedModel") -> "PreTrainedModel":
    if any(parameter.device.type in ("meta", "cpu") for parameter in module.parameters()) and (
        card.device != "cpu"
    ):
        raise ModelError(
            f"{card.name} does not fit on the GPUs: layers were left in main memory or on disk. "
            "Choose a smaller model, or device=cpu."
        )
    module.requires_grad_(requires_grad=False)
    return module.eval()


def find_layers(module: "PreTrainedModel", n_layers: int) -> str:
    """Return the dotted path of the decoder layers: ``model.layers``, ``transformer.h``, ...

    The rule was tested on 22 architectures (feasibility notes, 2): the outermost ``ModuleList`` in
    the decoder that is as long as the configuration says.

    Raises:
        ModelError: There is no such list.
    """
    from torch import nn

    decoder: Any = module.get_decoder() if hasattr(module, "get_decoder") else None
    if decoder is None:
        decoder = getattr(module, "base_model", module)
    lists = [
        (path.count("."), child)
        for path, child in decoder.named_modules()
        if isinstance(child, nn.ModuleList) and len(child) == n_layers
    ]
    if not lists:
        raise ModelError(
            f"{type(module).__name__} has no list of {n_layers} decoder layers; its layers cannot "
            "be read. Choose another architecture."
        )
    layers = min(lists, key=lambda entry: entry[0])[1]
    return next(str(path) for path, child in module.named_modules() if child is layers)


def _wrap(
    card: ModelCard, module: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase"
) -> OpenModel:
    from nnsight import TransformersModel

    ignore_names()
    layers = find_layers(module, card.n_layers)
    lm = TransformersModel(module, tokenizer=tokenizer, task="text-generation")
    return OpenModel(card, lm, module, tokenizer, layers, f"{layers}.0", threading.RLock())


def _outline(card: ModelCard, tokenizer: "PreTrainedTokenizerBase") -> OpenModel:
    """Return the shape of a model that runs elsewhere; it has no weights."""
    from nnsight import TransformersModel

    ignore_names()
    lm = TransformersModel(str(card.folder), tokenizer=tokenizer, task="text-generation")
    layers = find_layers(lm._module, card.n_layers)
    return OpenModel(card, lm, lm._module, tokenizer, layers, f"{layers}.0", threading.RLock())


def _serve(outline: OpenModel, store: Store, report: Report) -> OpenModel:
    """Let vLLM open a model, and prove that it reads what transformers reads."""
    import torch

    card = outline.card
    here = describe(replace(card.spec, backend="nnsight", dtype=card.dtype), store)
    own = kept_own(store, here).open()
    if own is None:
        own = kept_own(store, here, open_model(here, store, part(report, 0.0, 0.5))).get()
        release(here.device)
    gpus = max(1, torch.cuda.device_count()) if card.spec.spread else 1
    folder = outline.card.folder
    if folder is None:
        raise ValueError("the model has no folder")
    model = replace(outline, served=Served(card.name, folder, card.dtype, gpus))
    report(0.5, 1.0, f"Checking what vLLM reads with {card.name} against transformers")
    kept_check(store, card, model, own).get(part(report, 0.5, 1.0))
    return model


#: What tells two open models apart: identity, number format, device, spread.
_Handle = tuple[str, str, str, bool]


def _handle(card: ModelCard) -> _Handle:
    return card.identity, card.dtype, card.device, card.spec.spread


def _family(spec: ModelSpec) -> ModelSpec:
    return replace(spec, untrained_seed=None)


class Shelf:
    """The open models of this process, shared by its threads.

    It keeps one model and its untrained control when both fit; opening another closes them. A
    thread that still uses a closed model keeps its memory until it lets go.
    """

    def __init__(self, store: Store, *, families: int = 1) -> None:
        """Hold models whose converted weights lie in ``store``; nothing is opened yet.

        Args:
            store: Where converted weights and remembered digests lie.
            families: How many models may be open beside each other; a model and its untrained
                controls are one family.

        Raises:
            ValueError: ``families`` is not positive.
        """
        if families < 1:
            raise ValueError(f"families is {families}; at least one model must be able to open")
        self._store = store
        self._families = families
        self._open: dict[_Handle, OpenModel] = {}  # least recently used first
        self._asked: dict[ModelSpec, _Handle] = {}
        self._guard = threading.Lock()  # of both dictionaries, held for moments
        self._turn = threading.Lock()  # held while a model is opened

    def get(self, spec: ModelSpec, report: Report = silent) -> OpenModel:
        """Return the open model, opening it if needed and closing the least recently used ones.

        A folder or GGUF file that has changed since it was opened is opened anew; a hub model
        stays at the commit it was opened at.

        Raises:
            ModelError: As ``describe`` and ``open_model``.
            GgufError: As ``describe`` and ``open_model``.
            Cancelled: The report asked to stop.
        """
        if spec.source in ("packaged", "fetched", "hub"):
            with self._guard:
                held = self._take(self._asked.get(spec))
            if held is not None:
                return held
        card = describe(spec, self._store, report)
        with self._guard:
            held = self._take(_handle(card), spec)
        return held or self._open_in_turn(card, report)

    def _take(self, handle: _Handle | None, spec: ModelSpec | None = None) -> OpenModel | None:
        """Return what is open under a handle and mark it as the latest used; the guard is held."""
        model = self._open.pop(handle, None) if handle else None
        if handle and model:
            self._open[handle] = model
            if spec:
                self._asked[spec] = handle
        return model

    def _open_in_turn(self, card: ModelCard, report: Report) -> OpenModel:
        """Open one model at a time: two at once could exceed the memory each found free."""
        while not self._turn.acquire(timeout=_WAIT_SECONDS):
            report(0.0, 1.0, "Waiting for another model to open")
        try:
            with self._guard:
                held = self._take(_handle(card), card.spec)
            if held is not None:
                return held
            self._make_room(card)
            model = open_model(card, self._store, report)
            with self._guard:
                self._open[_handle(card)] = model
                self._asked[card.spec] = _handle(card)
            return model
        finally:
            self._turn.release()

    def _make_room(self, card: ModelCard) -> None:
        """Close other families beyond the limit, then whatever is in the way, oldest first."""
        mine = _family(card.spec)
        with self._guard:
            others = list(dict.fromkeys(_family(model.card.spec) for model in self._open.values()))
            others = [family for family in others if family != mine]
            surplus = others[: max(0, len(others) - self._families + 1)]
            for handle in [h for h, m in self._open.items() if _family(m.card.spec) in surplus]:
                self._close(handle)
        release(card.device)
        while self._open and room(card.device, spread=card.spec.spread).free < card.needed_bytes:
            with self._guard:
                self._close(next(iter(self._open)))
            release(card.device)

    def _close(self, handle: _Handle) -> None:
        """Drop one model; the guard is held."""
        del self._open[handle]
        self._asked = {spec: held for spec, held in self._asked.items() if held != handle}

    def is_open(self, spec: ModelSpec) -> bool:
        """Tell whether ``get`` would return at once, or after a look at a changed file."""
        with self._guard:
            return self._asked.get(spec) in self._open

    def close_all(self) -> None:
        """Close every model and give its memory back."""
        with self._guard:
            devices = {model.card.device for model in self._open.values()}
            self._open.clear()
            self._asked.clear()
        for device in devices:
            release(device)
