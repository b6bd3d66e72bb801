"""What a text's surface tells: how long it is, whether it negates, in which form it begins.

Plain rules, so that anyone can say what they do. Those of words are English; elsewhere hardly a
text fulfils them, the columns are constant, and only length is left to be held fixed.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.statistics.words import WORD, count_words

#: Columns of ``surface``.
SURFACE: Final = ("words", "characters", "negation", "gerund", "past", "infinitive", "third person")
_NEGATION: Final = re.compile(
    r"\b(?:not|no|never|nobody|nothing|nowhere|none|nor|neither|without|cannot)\b|n['’]t\b",
    re.IGNORECASE,
)
#: Pasts without -ed that begin many descriptions of actions.
_PAST: Final = frozenset(
    re.findall(
        r"\w+",
        "ate beat began bought broke brought built came caught chose cut did drank drew drove fed "
        "fell felt forgot fought found gave got had heard held hid hit hung kept knew laid led "
        "left lent let lost made met paid put ran read refused rode sang sat saw sent set shook "
        "shot shut slept sold spent spoke stole stood swore taught threw told thought took tore "
        "went were woke won wore wrote was",
    )
)
#: Words on -ing, -ed and -s that are no such forms.
_NO_GERUND: Final = frozenset(("bring", "king", "ring", "sing", "spring", "string", "thing"))
_NO_PAST: Final = frozenset(("bed", "feed", "need", "red", "shed", "speed", "seed"))
_NO_THIRD: Final = frozenset(("always", "as", "his", "is", "its", "perhaps", "this", "was", "yes"))


def surface(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return what the surface of each text tells.

    Args:
        texts: Any number.

    Returns:
        Shape ``(n, 7)``, columns in the order of ``SURFACE``: the number of words
        (``words.count_words``), of characters (blanks at the ends left out), then 0 or 1: it holds
        a word that negates; its first word ends in -ing; ends in -ed or is a common past without;
        is "to"; ends in a single -s.
    """
    rows = np.array([_row(text) for text in texts], np.float64)
    return rows.reshape(len(texts), len(SURFACE))


def _row(text: str) -> tuple[float, ...]:
    found = re.search(WORD, text.lower())
    first = found[0] if found else ""
    past = first in _PAST or (first.endswith("ed") and first not in _NO_PAST)
    third = first.endswith("s") and not first.endswith("ss") and first not in _NO_THIRD
    return (
        count_words(text),
        len(text.strip()),
        _NEGATION.search(text) is not None,
        first.endswith("ing") and first not in _NO_GERUND,
        past,
        first == "to",
        third and not past,
    )
