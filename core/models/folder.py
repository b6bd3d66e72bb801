"""A Hugging Face model folder, checked and measured without loading its weights.

Reads ``config.json``, the heads of the safetensors files and file names; nothing is executed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from core.models.quiet import quiet
from core.models.spec import ModelError, clear_library_errors
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent
from core.runtime.store import Store, content_sha256, fingerprint

if TYPE_CHECKING:
    from transformers import PretrainedConfig

#: Any one of these makes a tokenizer.
TOKENIZER_FILES: Final = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json", "vocab.txt",
)  # fmt: skip
#: What belongs to a tokenizer beside it.
TOKENIZER_EXTRAS: Final = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip
INDEX_FILE: Final = "model.safetensors.index.json"
SINGLE_FILE: Final = "model.safetensors"
#: No layer of theirs gives the residual stream that transformers reports (measured: mamba differs).
RECURRENT: Final = frozenset(
    {"mamba", "mamba2", "falcon_mamba", "rwkv", "recurrent_gemma", "xlstm"}
)
_POINTER: Final = b"version https://git-lfs.github.com/spec/"
#: Beside weights it means that these are not what the folder is about.
ADAPTER_FILE: Final = "adapter_config.json"
#: Their layers give (tokens, texts, width), where everything here expects texts first.
TIME_FIRST: Final = frozenset({"xlnet"})
_HEAD_LIMIT: Final = 100_000_000  # bytes; the format allows no larger head
_LICENCE_LINE: Final = re.compile(r"^license:\s*['\"]?([^'\"\n]+)", re.MULTILINE)


@dataclass(frozen=True)
class Shape:
    """The measures of a causal language model, read from its configuration."""

    architecture: str
    """Class in transformers: ``LlamaForCausalLM``."""

    n_layers: int
    """Decoder layers."""

    d_model: int
    """Width of the residual stream."""

    vocabulary: int
    """Rows of the embedding matrix."""


@dataclass(frozen=True)
class Weights:
    """The safetensors files of a folder."""

    files: tuple[Path, ...]
    """In name order."""

    n_parameters: int
    """Numbers stored."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot hold a Hugging Face model.

    Raises:
        ModelError: It is not there, holds an adapter or pointers to files, has no configuration or
            no tokenizer.
    """
    if not folder.is_dir():
        raise ModelError(
            f"There is no folder {shown_path(folder)}. Give one that holds config.json, a "
            "tokenizer and *.safetensors."
        )
    refuse_adapter(folder.name, [path.name for path in folder.iterdir()])
    _refuse_pointers(folder)
    if not (folder / "config.json").is_file():
        ggufs = sorted(path.name for path in folder.glob("*.gguf"))
        hint = (
            f" It holds {ggufs[0]}: ask for gguf:{shown_path(folder / ggufs[0])}." if ggufs else ""
        )
        raise ModelError(f"{folder.name} has no config.json, so it is not a model folder.{hint}")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(
            f"{folder.name} has no tokenizer (none of {', '.join(TOKENIZER_FILES)}). Save it there "
            "with tokenizer.save_pretrained(folder)."
        )


def refuse_adapter(name: str, present: Sequence[str]) -> None:
    """Refuse weights beside an adapter: they would be read without it, as if they were tuned.

    Raises:
        ModelError: There is one among the files.
    """
    if ADAPTER_FILE in present:
        raise ModelError(
            f"{name} holds an adapter ({ADAPTER_FILE}, such as LoRA), which is not applied here. "
            "Merge it first: PeftModel.from_pretrained(base, adapter).merge_and_unload()."
            "save_pretrained(new), then ask for folder:new; for the base alone, take the adapter's "
            "files out."
        )


def _refuse_pointers(folder: Path) -> None:
    """Refuse a clone whose large files are still what Git LFS puts in their place."""
    names = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".model", ".txt") and path.is_file():
            with path.open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    names.append(path.name)
    if names:
        others = f" and {len(names) - 1} more" if names[1:] else ""
        raise ModelError(
            f"In {folder.name}, {names[0]}{others} holds a Git LFS pointer, not the file itself. "
            "Fetch it there with: git lfs pull."
        )


def read_config(folder: Path, name: str) -> "PretrainedConfig":
    """Read the configuration; code that comes with a model is never run.

    Args:
        folder: Where it lies.
        name: Of the model, for messages.

    Raises:
        ModelError: It cannot be read, or only remote code knows its architecture.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    path = folder / "config.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        model_type = str(stated.get("model_type", ""))
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"The config.json of {name} is no model configuration in JSON: {error}."
        ) from error
    if model_type not in CONFIG_MAPPING:
        if stated.get("auto_map"):
            raise ModelError(
                f"{name} needs Python code of its own ({model_type or 'no model_type'}); "
                "code from models is never run here. Choose a model that transformers knows."
            )
        raise ModelError(
            f"The installed transformers knows no architecture {model_type!r} ({name}). Update "
            "transformers, or choose another model."
        )
    with (
        quiet(),
        clear_library_errors(f"transformers cannot use the config.json of {name}", folder=folder),
    ):
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def read_shape(config: "PretrainedConfig", name: str) -> Shape:
    """Check that a configuration is a causal language model of a supported kind.

    Args:
        config: As ``read_config`` returns it.
        name: Of the model, for messages.

    Raises:
        ModelError: It is not, or its layers cannot be read.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = str(config.model_type)
    refuse_recurrent(kind, name)
    named = config.architectures or []
    stated = [str(one) for one in named] if isinstance(named, list) else [str(named)]
    causal = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    if causal is None or (stated and causal not in stated):
        raise ModelError(
            f"{name} is {' / '.join(stated) or kind}, not a causal language model. Choose one that "
            f"predicts the next token{f' ({causal})' if causal else ''}."
        )
    text = config.get_text_config(decoder=True)
    names = ("num_hidden_layers", "hidden_size", "vocab_size")
    return Shape(str(causal), *(_size(text, one, name) for one in names))


def _size(config: "PretrainedConfig", entry: str, name: str) -> int:
    size = getattr(config, entry, None)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ModelError(
            f"{name} states {str(size)[:40]!r} as its {entry}, which must be a whole number above "
            "0. Mend its config.json, or copy it again."
        )
    return size


def refuse_recurrent(kind: str, name: str) -> None:
    """Refuse an architecture whose layers cannot be read.

    Raises:
        ModelError: It is recurrent, or its layers put the tokens before the texts.
    """
    if kind in TIME_FIRST:
        raise ModelError(
            f"{name} is of a kind ({kind}) whose layers put tokens before texts, which cannot be "
            "read here. Choose another architecture."
        )
    if kind in RECURRENT:
        raise ModelError(
            f"{name} is a recurrent model ({kind}); its layers do not form a readable residual "
            "stream. Choose a transformer."
        )


def read_weights(folder: Path, name: str) -> Weights:
    """Find the safetensors files and count their numbers from their heads.

    Args:
        folder: Where they lie.
        name: Of the model, for messages.

    Raises:
        ModelError: There are none, only pickled ones, one of them is missing or cut short, or the
            index cannot be read.
    """
    index = folder / INDEX_FILE
    if index.is_file():
        names = _indexed(index)
    elif (folder / SINGLE_FILE).is_file():
        names = [SINGLE_FILE]
    else:
        refuse_weights(name, [path.name for path in folder.iterdir()])
    missing = [file for file in names if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{name} is incomplete: {', '.join(missing[:3])} missing of {len(names)} weight "
            "files. Copy or download it again."
        )
    files = tuple(folder / file for file in names)
    return Weights(files, sum(_count(path) for path in files))


def _indexed(index: Path) -> list[str]:
    """Return the names of the weight files that an index lists."""
    try:
        stated = json.loads(index.read_text(encoding="utf-8"))
        return sorted({str(name) for name in stated["weight_map"].values()})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{index.name} does not list weight files as JSON. Copy or download it again."
        ) from error


def refuse_weights(name: str, present: list[str]) -> NoReturn:
    """Say why a model without safetensors is refused, given the files it has.

    Raises:
        ModelError: Always.
    """
    if any(file.endswith((".bin", ".pt", ".pth", ".ckpt")) for file in present):
        raise ModelError(
            f"{name} has only pickled weights (.bin); opening them can run code, so they are "
            "refused. If you trust their source, convert them: AutoModelForCausalLM."
            "from_pretrained(old).save_pretrained(new) writes safetensors."
        )
    raise ModelError(
        f"{name} has no weights ({SINGLE_FILE} or {INDEX_FILE}). Copy them there, or ask for its "
        "untrained control with ?untrained=0."
    )


def _count(path: Path) -> int:
    """Count the numbers in a safetensors file from its head, and check that it is whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(size - 8, _HEAD_LIMIT):
            raise ModelError(f"{path.name} is not a safetensors file. Copy or download it again.")
        try:
            head: dict[str, Any] = json.loads(file.read(length))
            entries = [entry for name, entry in head.items() if name != "__metadata__"]
            end = max((int(entry["data_offsets"][1]) for entry in entries), default=0)
            count = sum(prod(map(int, entry["shape"])) for entry in entries)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise ModelError(
                f"{path.name} has a damaged head. Copy or download it again."
            ) from error
    if end < 0 or not 0 <= count <= 8 * end:  # the smallest numbers there are have one bit
        raise ModelError(f"{path.name} has a damaged head. Copy or download it again.")
    if size < 8 + length + end:
        raise ModelError(
            f"{path.name} is cut short: {size:,} of {8 + length + end:,} bytes. Copy or download "
            "it again."
        )
    return count


def count_from_config(config: "PretrainedConfig") -> int:
    """Count the weights a configuration asks for, tied ones once, on torch's meta device.

    Raises:
        ModelError: transformers cannot build it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    failure = f"transformers cannot build a {config.model_type} model"
    with quiet(), clear_library_errors(failure):
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return sum(parameter.numel() for parameter in model.parameters())


def tokenizer_files(folder: Path) -> list[Path]:
    """List the files that make the folder's tokenizer, in name order."""
    names = [*TOKENIZER_FILES, *TOKENIZER_EXTRAS]
    return sorted(folder / name for name in names if (folder / name).is_file())


def folder_digest(store: Store, folder: Path, files: list[Path], report: Report = silent) -> str:
    """Return one SHA-256 over names and contents of some files of a folder."""
    paths = sorted({folder / "config.json", *files})
    return fingerprint(
        [[str(path.relative_to(folder)), content_sha256(store, path, report)] for path in paths]
    )


def licence_of(folder: Path) -> str:
    """Return the licence a folder states, in one line."""
    card = folder / "README.md"
    if card.is_file():
        front = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        found = _LICENCE_LINE.search(front)
        if found:
            return f"{found[1].strip()} (stated in its README.md)"
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE"):
        if (folder / name).is_file():
            return f"see {name} in the folder"
    return "not stated in the folder"
