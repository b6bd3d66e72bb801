"""Finding latents by what they are on for: texts with some words, or a token.

A hit is not yet a meaning: a latent that is on everywhere is on here, too. So each stands with its
share elsewhere, and hits are sorted by how much more often they are on here.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.study import Study
from core.features.feature_activations import FeatureActivations
from core.features.logit_lens import TOP, LogitLens
from core.sae.latent_names import LatentNames

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Hits that are returned at most.
MOST: Final = 200
#: Longer queries are no words to look for.
MOST_QUERY: Final = 200


class Hits(NamedTuple):
    """Latents that answer a search, best first."""

    latents: NDArray[np.int64]
    """Which, shape ``(n,)``."""

    here: NDArray[np.float64]
    """Share of the matching texts or tokens on which each is on, in [0, 1]."""

    elsewhere: NDArray[np.float64]
    """The same share of all others."""

    matches: int
    """Texts or tokens that match."""


def by_text(codes: FeatureActivations, study: Study, query: str) -> Hits:
    """Return the latents that are on more often in texts that contain some words.

    Args:
        codes: The set's codes.
        study: The set.
        query: Looked for as it stands, letters of either case.

    Raises:
        CoreError: Nothing was typed, or no text has it.
    """
    words = _checked(query)
    prompts = study.plan.prompts
    matching = np.array([words in prompt.lower() for prompt in prompts])
    if not matching.any():
        raise CoreError(f"No text of this set contains {query!r}. Try fewer or other words.")
    return _hits(codes.pooled("max"), matching)


def by_token(codes: FeatureActivations, query: str) -> Hits:
    """Return the latents that are on more often at a token than at all others.

    Args:
        codes: The set's codes.
        query: The token's text; blanks around it and case do not matter.

    Raises:
        CoreError: Nothing was typed, or no token is this word.
    """
    word = _checked(query)
    same = [one for one, text in codes.words.items() if text.strip().lower() == word]
    matching = np.isin(codes.token, same)
    if not matching.any():
        raise CoreError(
            f"No token of this set is {query!r}: longer words are read in parts. Try a part, or "
            "search in texts."
        )
    return _hits(codes.by_latent.tocsr(), matching)


def by_promoted(lens: LogitLens, query: str) -> NDArray[np.int64]:
    """Return the latents that promote a word, strongest first.

    Args:
        lens: What latents say to the vocabulary.
        query: The word; blanks around it and case do not matter.

    Raises:
        CoreError: Nothing was typed, or no latent promotes it.
    """
    word = _checked(query)
    same = [one for one, text in lens.words.items() if text.strip().lower() == word]
    where = np.isin(lens.promoted[:, :TOP], same)
    if not where.any():
        raise CoreError(f"No latent has {query!r} among the words it promotes most.")
    strength = np.where(where, lens.gain[:, :TOP], -np.inf).max(axis=1)
    order = np.argsort(-strength, kind="stable")[:MOST]
    found: NDArray[np.int64] = lens.latents[order[np.isfinite(strength[order])]]
    return found


def latent_named(names: LatentNames, n_latents: int, query: str) -> int:
    """Return the latent with a number, or whose name holds some words, whatever their case.

    Raises:
        CoreError: There is none, or there are several; some of these are told.
    """
    text = " ".join(query.split())
    if text.isascii() and text.isdigit():
        if int(text) < n_latents:
            return int(text)
        raise CoreError(f"{text[:20]!r} is no latent. Type 0 to {n_latents - 1:,}.")
    wanted = text.casefold()
    known = sorted({*names.given, *names.promoted})
    found = [one for one in known if wanted and wanted in names.of(one).casefold()]
    exact = [one for one in found if names.of(one).casefold() == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not known:
        raise CoreError(
            "No latent has a name yet: look up their words on the Features page, give one a name "
            "there, or type its number."
        )
    some = ", ".join(f"{one} ({names.of(one)})" for one in found[:5])
    raise CoreError(
        f"{len(found) or 'No'} latents have names with {text[:40]!r}"
        + (f": {some}{', …' if len(found) > 5 else ''}. Type a number." if found else ".")
    )


def _checked(query: str) -> str:
    words = " ".join(query.split()).lower()
    if not words:
        raise CoreError("Nothing was typed. Type a word to look for.")
    if len(words) > MOST_QUERY:
        raise CoreError(f"A search takes at most {MOST_QUERY} characters.")
    return words


def _hits(codes: "csr_array", matching: NDArray[np.bool_]) -> Hits:
    """Return latents by how much more often they are on in matching rows than in others."""
    rows = np.repeat(np.arange(codes.shape[0]), np.diff(codes.indptr))
    on = codes.data > 0
    n_latents, n = codes.shape[1], int(matching.sum())
    inside = np.bincount(codes.indices[on & matching[rows]], minlength=n_latents)
    outside = np.bincount(codes.indices[on & ~matching[rows]], minlength=n_latents)
    here, elsewhere = inside / n, outside / max(len(matching) - n, 1)
    order = np.argsort(elsewhere - here, kind="stable")[:MOST]
    order = order[here[order] > elsewhere[order]].astype(np.int64)
    return Hits(order, here[order], elsewhere[order], n)
