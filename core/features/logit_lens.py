"""Which words a latent promotes: its decoder direction through the final norm and unembedding.

This is what the direction says to the vocabulary if nothing came between (logit lens; for latents
Bricken et al. 2023, https://transformer-circuits.pub/2023/monosemantic-features). Later layers do
come between, so it is a hint beside the texts and the measured effect, no proof.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import Store, fingerprint
from core.sae.dictionary import Dictionary, check_fits
from core.sae.latent_names import MOST_NAME

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

#: Words shown at each end, and those that are kept: a name is sought among more. Caches made before
#: hold only those that are shown.
TOP: Final = 12
KEPT: Final = 30
#: Cells of one block of logits: 2**25 are 128 MB.
_BLOCK_CELLS: Final = 2**25
#: Words that make a latent's name.
NAMED: Final = 3
#: Letters of a word that says something.
_WORD: Final = 3
_FILE: Final = "lens.safetensors"
_WORDS: Final = "words.json"
_FORMAT: Final = 1
#: Names that decoders give their last norm.
_NORMS: Final = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "final_norm")


class LogitLens(NamedTuple):
    """What latents say to the vocabulary."""

    latents: NDArray[np.int64]
    """Which latents, rising, shape ``(n,)``."""

    promoted: NDArray[np.int64]
    """Vocabulary numbers of the words made likelier, best first, shape ``(n, KEPT)``."""

    gain: NDArray[np.float32]
    """Their logits above the vocabulary's mean, in standard deviations of the latent's logits."""

    suppressed: NDArray[np.int64]
    """Words made least likely, worst first, shape ``(n, KEPT)``."""

    loss: NDArray[np.float32]
    """Their logits, as ``gain``."""

    words: dict[int, str]
    """Text of each vocabulary number that occurs."""

    def of(self, latent: int) -> "tuple[list[tuple[str, float]], list[tuple[str, float]]] | None":
        """Return a latent's promoted and suppressed words with their logits; None if not known."""
        row = int(np.searchsorted(self.latents, latent))
        if row == len(self.latents) or self.latents[row] != latent:
            return None
        sides = ((self.promoted, self.gain), (self.suppressed, self.loss))
        up, down = (
            [
                (self.words[int(one)], float(z))
                for one, z in zip(who[row, :TOP], how[row, :TOP], strict=True)
            ]
            for who, how in sides
        )
        return up, down


def short_names(lens: LogitLens, texts: Sequence[str]) -> dict[int, str]:
    """Return a name for each latent: the first few different words that it promotes.

    Whole words in the script of some texts go first if there are enough of them, then tokens that
    begin a word, then pieces of words, which say little by themselves. A word counts once, whatever
    its case; what is not printed is left out.

    Args:
        lens: What latents promote.
        texts: Those whose readers the names are for.
    """
    names, script = {}, script_of(texts)
    for row, latent in enumerate(lens.latents):
        told = [lens.words[int(one)] for one in lens.promoted[row]]
        whole = {clean_word(one).casefold() for one in told if _is_whole(one, script)}
        enough = len(whole) >= NAMED
        told = sorted(told if enough else told[:TOP], key=lambda word: not word.startswith(" "))
        if enough:
            told = sorted(told, key=lambda word: not _is_whole(word, script))
        words: dict[str, str] = {}
        for one in told:
            word = clean_word(one)
            if word and len(", ".join([*words.values(), word])) <= MOST_NAME:
                words.setdefault(word.casefold(), word)
            if len(words) == NAMED:
                break
        names[int(latent)] = ", ".join(words.values())
    return names


def _is_whole(token: str, script: str) -> bool:
    """Tell whether a token begins a word, is one by its look, and is written in a script."""
    word = token[1:]
    return (
        token.startswith(" ")
        and word.isalpha()
        and len(word) >= _WORD
        and (word.islower() or word.istitle() or not word.isascii())
        and script_of([word]) == script
    )


def script_of(texts: Sequence[str]) -> str:
    """Return the script of most letters, as Unicode names it, such as ``LATIN``; "" if none."""
    letters = Counter("".join(texts))
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            scripts[unicodedata.name(letter, "").partition(" ")[0]] += count
    return scripts.most_common(1)[0][0] if scripts else ""


def clean_word(word: str) -> str:
    """Return a token's text without blanks and what is not printed."""
    return "".join(one for one in word if one.isprintable() and one != "\ufffd").strip()


def kept_lens(
    store: Store,
    dictionary: Dictionary,
    identity: str,
    latents: Sequence[int],
    make: Callable[[Report], LogitLens],
) -> Made[LogitLens]:
    """Return the words of some latents."""
    key = {
        "format": _FORMAT,
        "model": identity,
        "dictionary": dictionary.digest,
        "latents": fingerprint(sorted({int(one) for one in latents})),
    }
    title = "Looking up words"
    return artefact(
        store, "lens", key, read=_read, write=_write, make=make, title=title, lane="model"
    )


def _read(folder: Path) -> LogitLens:
    from safetensors.numpy import load_file

    kept = load_file(folder / _FILE)
    words = {int(one): text for one, text in json.loads((folder / _WORDS).read_text()).items()}
    return LogitLens(
        kept["latents"].astype(np.int64),
        kept["promoted"].astype(np.int64),
        kept["gain"],
        kept["suppressed"].astype(np.int64),
        kept["loss"],
        words,
    )


def _write(folder: Path, lens: LogitLens) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "latents": lens.latents.astype(np.int32),
        "promoted": lens.promoted.astype(np.int32),
        "gain": lens.gain,
        "suppressed": lens.suppressed.astype(np.int32),
        "loss": lens.loss,
    }
    save_file(arrays, folder / _FILE)
    (folder / _WORDS).write_text(json.dumps(lens.words, ensure_ascii=False), encoding="utf-8")


def read_lens(
    model: "OpenModel", dictionary: Dictionary, latents: Sequence[int], report: Report = silent
) -> LogitLens:
    """Push latents' directions through the final norm and the unembedding; return the ends.

    Args:
        model: The open model.
        dictionary: A dictionary of it.
        latents: Which latents, each once; order does not matter.
        report: Told the number of latents done.

    Raises:
        DictionaryError: The dictionary belongs to another model.
        CoreError: There is no latent to look at, or the model has no final norm that is known.
        Cancelled: The person cancelled.
    """
    check_fits(dictionary, model.card)
    chosen = np.array(sorted({int(one) for one in latents}), np.int64)
    if not len(chosen):
        raise CoreError("No latent was named whose words could be looked up.")
    parts: list[list[NDArray[Any]]] = []
    vocabulary = model.module.get_output_embeddings().weight.shape[0]
    block = max(1, _BLOCK_CELLS // vocabulary)
    for start in range(0, len(chosen), block):
        report(start, len(chosen), f"looking up words · {start:,} of {len(chosen):,} latents")
        parts.append(_ends(model, dictionary, chosen[start : start + block]))
    promoted, gain, suppressed, loss = (np.concatenate(one) for one in zip(*parts, strict=True))
    tokenizer: Any = model.tokenizer
    used = np.unique(np.concatenate([promoted.ravel(), suppressed.ravel()]))
    words = {int(one): tokenizer.decode([int(one)]) for one in used}
    return LogitLens(chosen, promoted, gain, suppressed, loss, words)


def _ends(
    model: "OpenModel", dictionary: Dictionary, latents: NDArray[np.int64]
) -> list[NDArray[Any]]:
    """Return both ends of some latents' logits: numbers and z-scores."""
    import torch

    head: Any = model.module.get_output_embeddings()
    directions = dictionary.w_dec[torch.from_numpy(latents).to(dictionary.w_dec.device)]
    with model.lock, torch.no_grad():
        inputs = _normed(model, directions)
        logits = (inputs.to(head.weight.dtype) @ head.weight.T).float()
    middle, spread = logits.mean(dim=1, keepdim=True), logits.std(dim=1, keepdim=True)
    logits = (logits - middle) / spread.clamp(min=1e-12)
    found = []
    for largest in (True, False):
        best = logits.topk(min(KEPT, logits.shape[1]), dim=1, largest=largest)
        found += [best.indices.cpu().numpy(), best.values.cpu().numpy().astype(np.float32)]
    return found


def _normed(model: "OpenModel", directions: "torch.Tensor") -> "torch.Tensor":
    """Return directions as the final norm hands them on, without what it adds to everything."""
    import torch

    decoder: Any = model.module.get_decoder()
    norm = next((getattr(decoder, name) for name in _NORMS if hasattr(decoder, name)), None)
    if norm is None:
        raise CoreError(
            f"{model.card.name} keeps its last norm under a name that is not known, so no words "
            "can be read off its latents."
        )
    weight = norm.weight
    placed = directions.to(weight.device, weight.dtype)
    told: torch.Tensor = norm(placed) - norm(torch.zeros_like(placed))
    return told
