"""What alignment minimises: geometry, order of grades, size and divergence of the change.

All are differentiable and small enough to be checked against plain loops and finite differences.
"""

import torch
from torch.nn import functional

#: Differences of closeness that count as clear: the logistic's scale.
SCALE = 0.1
_LEAST = 1e-12


def unit_rows(states: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return states in their own frame: centred, each coordinate divided, rows of unit length.

    A push that all texts share is no geometry, so their mean is taken off.

    Args:
        states: Shape ``(n, d)``.
        spread: Divisor of each coordinate, ``(d,)``.
    """
    return functional.normalize((states - states.mean(dim=0)) / spread, dim=1)


def debiased_cka(states: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return linear CKA without its bias, a scalar: about 0 for unrelated rows, 1 for the same.

    Args:
        states: Shape ``(n, d)``, ``n`` at least 4.
        target: Shape ``(n, k)``.

    References:
        Song et al. 2012, Feature selection via dependence maximization, eq. 5.
    """
    one, other = states @ states.T, target @ target.T
    return _hsic(one, other) / (_hsic(one, one) * _hsic(other, other)).clamp_min(_LEAST).sqrt()


def _hsic(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the unbiased HSIC of two similarities ``(n, n)``, up to a constant factor."""
    n = len(one)
    one, other = (gram - torch.diag(gram.diagonal()) for gram in (one, other))
    total = one.sum() * other.sum() / ((n - 1) * (n - 2))
    return (one * other).sum() + total - 2 / (n - 2) * (one.sum(dim=0) @ other.sum(dim=0))


def distance_similarity(states: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the correlation of states' distances with people's, over all pairs; in [-1, 1].

    A representational similarity (RSA) with Pearson's correlation, which has a gradient.

    Args:
        states: Unit rows, ``(n, d)``; their distance is 1 minus the cosine.
        target: People's vectors, ``(n, k)``; their distance is the Euclidean one.
    """
    first, second = torch.triu_indices(len(states), len(states), 1, device=states.device)
    own = -(states @ states.T)[first, second]
    wanted = (target[first] - target[second]).norm(dim=1)
    both = torch.stack([own - own.mean(), wanted - wanted.mean()])
    return functional.cosine_similarity(both[0], both[1], dim=0)


def triplet_loss(
    states: torch.Tensor, triplets: torch.Tensor, *, margin: float = 0.05, scale: float = 0.1
) -> torch.Tensor:
    """Return how badly each first lies nearer to its second than to its third, a scalar.

    Args:
        states: Unit rows, ``(n, d)``.
        triplets: Rows of states, ``(t, 3)``.
        margin: Difference of the cosines that is asked for.
        scale: Difference that counts as clear.

    Returns:
        0 where there is no triplet.

    References:
        Bradley-Terry on triplets as in arXiv 2609.04022.
    """
    if not len(triplets):
        return states.new_zeros(())
    # Not by indexing, whose gradient adds in no fixed order.
    anchor, near, far = (states.index_select(0, one) for one in triplets.T)
    ahead = (anchor * (near - far)).sum(dim=1)
    return functional.softplus((margin - ahead) / scale).mean()


def order_loss(states: torch.Tensor, grades: torch.Tensor, *, scale: float = SCALE) -> torch.Tensor:
    """Return how badly closeness to the own poles' centres follows people's grades, a scalar.

    A pair of texts of one pole costs ``log(1 + exp(-difference / scale))``, where the difference is
    that of their cosines to the centre of the pole's other texts, counted towards the higher grade.
    Pairs of equal grade cost nothing; poles count alike.

    Args:
        states: Unit rows, ``(n, d)``.
        grades: Grade of each text in each pole, 0 where it is no member; ``(n, 10)``.
        scale: Difference that counts as clear.

    Returns:
        0 where no pole has a pair of different grades.
    """
    parts = []
    for column in grades.T:
        rows = torch.nonzero(column > 0).flatten()
        if len(rows) < 3:
            continue
        own, grade = states[rows], column[rows]
        centres = own.sum(dim=0) - own  # each without itself
        close = functional.cosine_similarity(own, centres, dim=1)
        higher = grade[:, None] > grade[None, :]
        if not higher.any():
            continue
        gap = (close[:, None] - close[None, :])[higher]
        parts.append(functional.softplus(-gap / scale).mean())
    return torch.stack(parts).mean() if parts else states.new_zeros(())


def divergence(change: torch.Tensor, scores: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of small changes to second order, nats per token.

    With scores ``g``, gradients of the log likelihood of words drawn from the model itself, the
    divergence of a text is half the mean of ``(sum over tokens of g . change)**2``: the Fisher
    information, sampled (Kunstner et al. 2019, https://arxiv.org/abs/1905.12558).

    Args:
        change: What is added to each token's state, ``(tokens, d)``.
        scores: A row per draw, ``(draws, tokens, d)``.
        owner: Text of each token, never falling, ``(tokens,)``.
    """
    along = torch.einsum("td,std->st", change, scores)
    texts = int(owner[-1]) + 1
    total = along.new_zeros(len(along), texts).index_add(1, owner, along)
    return total.square().mean(dim=0).sum() / 2 / len(owner)
