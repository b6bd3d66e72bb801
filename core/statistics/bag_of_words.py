"""What words alone can do: the control beside every figure that a model gets.

A bag of words knows no meaning beyond which words occur, and a length not even that. Structure that
they show as well is no evidence that the model represents morality. What a word is, where a script
has no blanks, tells ``statistics.words``.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.statistics.words import count_words, terms


def bag_of_words(texts: Sequence[str], *, max_words: int = 4096) -> NDArray[np.float32]:
    """Return TF-IDF vectors over single words and pairs of words (``words.terms``).

    Args:
        texts: At least one text.
        max_words: The most frequent terms that are kept.

    Returns:
        Shape ``(n_texts, n_terms)``, rows of unit length; a text without known terms is zero.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer=terms,
        min_df=2 if len(texts) > 2 else 1,
        max_features=max_words,
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no term occurs in two texts: word counts know nothing here
        return np.zeros((len(texts), 1), np.float32)
    vectors: NDArray[np.float32] = counts.toarray()
    return vectors


#: Soft steps of a length, from short to long.
LENGTH_STEPS: Final = 12


def sentence_length(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return how long each text is: the plainest baseline, which knows no word at all.

    Two bare numbers would have cosines of nearly 1 or -1 with any centre, whatever the lengths; a
    soft histogram is near another where the lengths are, and a linear probe can follow any curve.

    Args:
        texts: At least one text.

    Returns:
        Shape ``(n_texts, 24)``, in [0, 1]: ``LENGTH_STEPS`` soft steps for the number of words
        (``words.count_words``), then for the number of characters (blanks at the ends left out).
    """
    counts = np.array([(count_words(text), len(text.strip())) for text in texts], np.float64)
    return np.hstack([_soft_steps(np.log1p(column)) for column in counts.T]).astype(np.float32)


def _soft_steps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how near each value is to even steps between the extremes, ``(n, LENGTH_STEPS)``."""
    low, high = np.quantile(values, [0.01, 0.99])
    steps = np.linspace(low, max(high, low + 1e-6), LENGTH_STEPS)
    width = steps[1] - steps[0]
    inside = np.clip(values, low, high)[:, None]
    near: NDArray[np.float64] = np.exp(-0.5 * ((inside - steps) / width) ** 2)
    return near
