"""Tokenizers: how one is opened, and what it puts behind every text.

Some end each text with a token of their own, such as ``</s>``. Left there, the last token would be
the same for all texts, and steering would go on after the end. So it is taken off before reading;
readings made so have an identity of their own.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.models.folder import folder_digest, tokenizer_files
from core.models.quiet import quiet
from core.models.spec import clear_library_errors
from core.runtime.made import artefact, read_json, write_json
from core.runtime.progress import Report
from core.runtime.store import Store, library_version

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Behind the identity of a model whose tokenizer's end is taken off.
ENDS_OFF = ";ends-off"


def open_tokenizer(folder: Path, name: str) -> "PreTrainedTokenizerBase":
    """Open the tokenizer of a model folder; the model's name is for messages.

    Raises:
        ModelError: It cannot be opened.
    """
    from transformers import AutoTokenizer

    with quiet(), clear_library_errors(f"The tokenizer of {name} cannot be opened", folder=folder):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    return tokenizer


def appended(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the tokens that a tokenizer puts behind every text.

    Raises:
        ModelError: It cannot read a letter.
    """
    return _around(tokenizer)[1]


def prepended(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the tokens that a tokenizer puts before every text, such as BOS; errors as above."""
    return _around(tokenizer)[0]


def _around(tokenizer: "PreTrainedTokenizerBase") -> tuple[list[int], list[int]]:
    call: Any = tokenizer
    with clear_library_errors("The tokenizer cannot read a text", "Copy or download it again."):
        bare = list(call(["a"], add_special_tokens=False)["input_ids"][0])
        whole = list(call(["a"])["input_ids"][0])
    for start in range(len(whole) - len(bare), -1, -1):
        if bare and whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    return [], []  # it cuts texts differently where it adds tokens: nothing can be told apart


def ends_mark(store: Store, folder: Path, name: str, report: Report) -> str:
    """Return what the identity of a folder's model ends with: ``ENDS_OFF``, or nothing.

    A large tokenizer takes a second to open, so the answer is remembered by its files.

    Raises:
        ModelError: The tokenizer cannot be opened.
    """
    key = {
        "files": folder_digest(store, folder, tokenizer_files(folder), report),
        "transformers": library_version("transformers"),
    }
    ends = artefact(
        store,
        "tokenizer-ends",
        key,
        read=read_json("ends.json", lambda record: list(record["ids"])),
        write=write_json("ends.json", lambda ids: {"ids": ids}),
        make=lambda _: appended(open_tokenizer(folder, name)),
    )
    return ENDS_OFF if ends.get() else ""
