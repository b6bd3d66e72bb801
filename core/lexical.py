"""What words alone can do: the control beside every figure that a model gets.

A bag of words knows no meaning beyond which words occur, and a length not even that. Structure that
they show as well is no evidence that the model represents morality.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def bag_of_words(texts: Sequence[str], *, max_words: int = 4096) -> NDArray[np.float32]:
    """Return TF-IDF vectors over single words and pairs of words.

    Args:
        texts: At least one text.
        max_words: The most frequent terms that are kept.

    Returns:
        Shape ``(n_texts, n_terms)``, rows of unit length; a text without known terms is zero.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2 if len(texts) > 2 else 1,
        max_features=max_words,
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",
        dtype=np.float32,
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no term occurs in two texts: word counts know nothing here
        return np.zeros((len(texts), 1), np.float32)
    vectors: NDArray[np.float32] = counts.toarray()
    return vectors


def sentence_length(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return how long each text is: the plainest baseline, which knows no word at all.

    Args:
        texts: Any number of texts.

    Returns:
        Shape ``(n_texts, 2)``: words (what blanks part) and characters (blanks at the ends left
        out), each as ``log(1 + count)``, because a word more matters less in a long text.
    """
    counts = [(len(text.split()), len(text.strip())) for text in texts]
    return np.log1p(np.array(counts, np.float32).reshape(-1, 2))
