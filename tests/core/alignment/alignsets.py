"""What tests of alignment share: planted texts whose poles a dictionary has collapsed."""

import numpy as np
import torch

from core.alignment.data import AlignData, Neutral
from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.training.token_states import TokenStates

WIDTH, LATENTS = 24, 48


def planted(seed=0, n=300, tokens=3):
    """Return a dictionary, data, and the latents that could tell virtue from vice.

    Latents come in pairs: one is on for virtue and one for vice of a foundation, yet both write
    almost the same direction, so that the poles lie together.
    """
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    foundation = rng.integers(0, 5, n)
    pole = rng.choice([1, -1], n)
    grade = rng.choice([0.25, 0.5, 0.75, 1.0], n)
    membership = np.zeros((n, 10))
    membership[np.arange(n), 2 * foundation + (pole < 0)] = grade
    text = axes[foundation] * 3 + axes[5 + foundation] * (0.6 * pole * grade)[:, None]
    states = np.repeat(text, tokens, axis=0) + 0.3 * rng.normal(size=(n * tokens, WIDTH))
    moral = np.arange(10)
    w_enc, w_dec = rng.normal(size=(WIDTH, LATENTS)) / 5, rng.normal(size=(LATENTS, WIDTH)) / 5
    for one in moral:
        sign = 1 - 2 * (one % 2)
        w_enc[:, one] = axes[one // 2] / 3 + sign * axes[5 + one // 2]
        w_dec[one] = axes[one // 2]
    info = DictionaryInfo("planted", 1, "topk", 6, centred=True)
    dictionary = Dictionary(
        info,
        torch.tensor(w_enc, dtype=torch.float32),
        torch.zeros(LATENTS),
        torch.tensor(w_dec, dtype=torch.float32),
        torch.zeros(WIDTH),
    )
    neutral = Neutral(
        rng.normal(size=(20, WIDTH)).astype(np.float32),
        (0.05 * rng.normal(size=(4, 20, WIDTH))).astype(np.float32),
        np.repeat(np.arange(4), 5),
    )
    order = rng.permutation(n)
    split = np.full(n, "train", dtype="<U10")
    split[order[: n // 5]], split[order[n // 5 : 2 * n // 5]] = "validation", "test"
    data = AlignData(
        TokenStates.of(states.astype(np.float32), np.repeat(np.arange(n), tokens)),
        np.arange(0, n * tokens + 1, tokens),
        membership,
        foundation,
        split,
        neutral,
    )
    return dictionary, data, moral
