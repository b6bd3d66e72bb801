"""What tests of latents share: made labels, random codes, states of a planted dictionary."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array

from core.features.comparisons import Split, TextLabels
from core.sae.dictionary import Dictionary, DictionaryInfo, sparse_codes

GRADES = [0.125, 0.25, 0.375, 0.5, 0.75, 1.0]
#: Latents per dimension and per foundation that are planted, in this order; all others are noise.
PURE, TOPICS = 20, 5


def made_vectors(n, rng):
    """Return moral vectors and foundations: a tenth neutral, a tenth with a second foundation."""
    vectors = np.zeros((n, 10), np.float32)
    foundation, pole = rng.integers(0, 5, n), rng.choice(3, n, p=[0.45, 0.45, 0.1])
    rows = np.flatnonzero(pole < 2)
    vectors[rows, 2 * foundation[rows] + pole[rows]] = rng.choice(GRADES, len(rows))
    second = rows[rng.random(len(rows)) < 0.1]
    vectors[second, (2 * foundation[second] + 2) % 10 + pole[second]] = rng.choice(
        GRADES, len(second)
    )
    return vectors, foundation


def made_set(n, rng, test=0.3):
    """Return labels of n texts of one item each, and a split."""
    chosen = rng.random(n) < test
    return TextLabels.of(*made_vectors(n, rng), np.arange(n), n), Split(~chosen, chosen)


def labels_of(vectors):
    """Return the labels of texts of one item each, the foundation being that of the first grade."""
    foundation = (vectors > 0).argmax(axis=1) // 2
    return TextLabels.of(vectors, foundation, np.arange(len(vectors)), len(vectors))


def same_length(n):
    """Return lengths of texts that are all alike."""
    return np.full(n, 7)


def random_codes(n, n_latents, rng, least=0.02, most=0.3):
    """Return codes that have nothing to do with any label."""
    on = rng.random((n, n_latents)) < np.exp(rng.uniform(np.log(least), np.log(most), n_latents))
    return np.where(on, rng.gamma(3, 1, (n, n_latents)), 0).astype(np.float32)


class Planted(NamedTuple):
    codes: csr_array
    labels: TextLabels
    tokens: np.ndarray
    split: Split


def planted(seed, n=1500, n_latents=300, d_model=256):
    """Encode states that are sums of known directions, of which the first follow the labels."""
    rng = np.random.default_rng(seed)
    labels, split = made_set(n, rng)
    true = random_codes(n, n_latents, rng, 0.01, 0.06)
    grade = labels.membership
    for latent in range(PURE + TOPICS):
        column = latent % 10
        if latent >= PURE:
            column = slice(2 * (latent - PURE), 2 * (latent - PURE) + 2)
        own = grade[:, column].reshape(n, -1).max(axis=1)
        on = rng.random(n) < np.where(own > 0, 0.35 + 0.5 * own, 0.02)
        true[:, latent] = on * (2 + own + rng.gamma(2, 0.2, n))
    directions = rng.standard_normal((n_latents, d_model))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    states = true @ directions + rng.normal(0, 0.02, (n, d_model))
    decoder = torch.tensor(directions, dtype=torch.float32)
    dictionary = Dictionary(
        DictionaryInfo("planted", 0, "jumprelu"),
        decoder.T.contiguous(),
        torch.zeros(n_latents),
        decoder,
        torch.zeros(d_model),
        torch.full((n_latents,), 1.5),
    )
    codes = sparse_codes(dictionary, states.astype(np.float32))
    return Planted(codes, labels, rng.integers(5, 15, n), split)
