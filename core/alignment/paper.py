"""The paper's surgery as its code has it, faults included: arXiv 2603.15615, section 4.

Choice of latents, six losses, sampler, schedule. It learns from mean states and is applied to
tokens; here it works on the codes of whatever dictionary is at hand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.alignment.data import AlignData, as_tensor, correlations
from core.alignment.lessons import Taught, Texts
from core.alignment.spec import AlignmentError, AlignSpec
from core.alignment.splice import Splice
from core.alignment.train import AlignStep, Course
from core.sae.dictionary import Dictionary, sparse_codes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: A latent follows a dimension from this correlation on; of each dimension the first so many; a
#: latent is of one dimension where its correlation is so many times the second; latents of a pole.
THRESHOLD, MOST, RATIO, PER_POLE = 0.1, 50, 1.5, 20
#: The six terms in the paper's order, with their weights.
TERMS: Final[dict[str, float]] = {
    "reconstruction": 1.0,
    "sparsity": 1e-4,
    "alignment": 0.5,
    "polarity": 0.3,
    "prototypicality": 0.2,
    "one dimension": 0.1,
}
POLARITY_MARGIN, ORDER_MARGIN = 0.5, 0.1
#: A text is of a pole for the polarity term above this grade, and so many are needed in a batch;
#: texts of a dimension for the order term, and most pairs.
POLE_GRADE, FEWEST_OF_A_POLE, FEWEST_OF_A_DIMENSION, PAIRS = 0.3, 4, 16, 100
EPOCHS, BATCH, PATIENCE, GAIN = 50, 512, 10, 1e-4
RATE, DECAY, WARMUP = 1e-4, 0.01, 0.1
#: Faults of the recipe, by their number in the notes on the paper's code.
FAULTS: Final[dict[str, str]] = {
    "D1": "The alignment term compares a logistic of sums that are never negative, so never below "
    ".5, with grades that mostly lie below: silence is its best answer for them.",
    "D2": "A neutral text counts as care, and a text of several foundations as its first alone.",
    "D3": "Latents that fall with a dimension are trained as if they rose with it.",
    "D4": "Any virtuous text is to light the virtue latents of all five foundations.",
    "D5": "Latents of both poles of a foundation cancel out in the polarity term and stay in.",
    "D6": "The order term asks for wider gaps the closer two grades are; ties cost a constant.",
    "D9": "What the change costs elsewhere (divergence on neutral text) is neither held nor told.",
    "D10": "There is no control: no shuffled vectors, no other latents, no reconstruction alone.",
    "D11": "Weight decay draws weights to zero, not to where they were.",
    "D12": "Success is measured on the texts that choose and stop; here on test texts.",
    "sampler": "Texts of the highest grades are drawn twice as often, not three times as meant: a "
    "later rule overwrites it.",
    "start": "The untouched dictionary is no candidate: some change is always kept.",
    "states": "It is trained on the mean over tokens and applied to each token.",
}
#: What differs from the paper here, for its card.
DIFFERENCES: Final = (
    "The paper's dictionary is ReLU, trained for it; here the terms apply to the codes of the "
    "dictionary at hand, in float32, latents are chosen on training texts, the first token is left "
    "out, each text counts once, and states are in units of their spread (D7: in raw units the "
    "margins mean something else at each layer, and reconstruction outweighs all other terms)."
)

Said = Literal["improved", "towards silence", "not improved"]


@dataclass(frozen=True, eq=False)
class Banks:
    """The paper's latents: which, and what each is for."""

    latents: NDArray[np.int64]
    """Those that are trained, rising, ``(m,)``."""

    readout: NDArray[np.float64]
    """Weight of each in the read-out of each dimension; columns sum to 1 or are 0, ``(m, 10)``."""

    primary: NDArray[np.int64]
    """The dimension of latents that have one, -1 for the others, ``(m,)``."""

    poles: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    """Places in ``latents`` of virtue and of vice, for each foundation that has both."""


def choose_banks(base: Dictionary, data: AlignData) -> Banks:
    """Return the latents that follow people's grades on training texts' mean states.

    Raises:
        AlignmentError: None does.
    """
    rows = data.of("train")
    codes: csr_array = sparse_codes(base.to("cpu"), data.means[rows])
    return banks_of(correlations(codes, data.membership[rows]))


def banks_of(r: NDArray[np.float64]) -> Banks:
    """Return the latents by their correlations with the dimensions.

    Args:
        r: Shape ``(n_latents, 10)``; NaN where a latent or a dimension is constant.

    Raises:
        AlignmentError: No latent is chosen.
    """
    r = np.nan_to_num(r, posinf=0, neginf=0)
    order = np.argsort(-r, axis=0, kind="stable")[:MOST]
    followers = [column[r[column, j] > THRESHOLD] for j, column in enumerate(order.T)]
    size = np.sort(np.abs(r), axis=1)
    strict = (size[:, -1] > THRESHOLD) & (
        (size[:, -2] < 1e-8) | (size[:, -1] > RATIO * size[:, -2])
    )
    latents = np.unique(np.concatenate([np.flatnonzero(strict), *followers])).astype(np.int64)
    if not len(latents):
        raise AlignmentError(
            f"No latent follows a moral dimension with a correlation above {THRESHOLD:g}, as the "
            "paper's recipe asks. Choose another dictionary, or the repaired recipe."
        )
    readout, places = np.zeros((len(latents), r.shape[1])), []
    for j, column in enumerate(followers):
        places.append(np.searchsorted(latents, column))
        readout[places[-1], j] = r[column, j] / (r[column, j].sum() + 1e-8)
    primary = np.where(strict, np.abs(r).argmax(axis=1), -1)[latents]
    pairs = zip(places[0::2], places[1::2], strict=True)
    poles = tuple((a[:PER_POLE], b[:PER_POLE]) for a, b in pairs if len(a) and len(b))
    return Banks(latents, readout, primary, poles)


# --- the terms ---


def alignment_term(readout: torch.Tensor, grades: torch.Tensor) -> torch.Tensor:
    """Return the mean squared gap of logistic read-outs and grades above 0, both ``(n, 10)``."""
    graded = grades > 0
    gaps = (torch.sigmoid(readout) - grades)[graded]
    return gaps.square().mean() if len(gaps) else readout.new_zeros(())


def polarity_term(
    codes: torch.Tensor,
    grades: torch.Tensor,
    poles: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> torch.Tensor:
    """Return the hinge by which each pole's latents lead the other's on texts of the pole.

    Args:
        codes: Of the trained latents, ``(n, m)``.
        grades: People's, ``(n, 10)``.
        poles: Places of virtue and vice for each pair.
    """
    virtuous, vicious = (grades[:, pole::2].amax(dim=1) > POLE_GRADE for pole in (0, 1))
    if not poles or min(int(virtuous.sum()), int(vicious.sum())) < FEWEST_OF_A_POLE:
        return codes.new_zeros(())
    parts = []
    for virtue, vice in poles:
        lead = codes[:, virtue].mean(dim=1) - codes[:, vice].mean(dim=1)
        parts += [
            torch.relu(POLARITY_MARGIN - lead[virtuous]).mean(),
            torch.relu(POLARITY_MARGIN + lead[vicious]).mean(),
        ]
    return torch.stack(parts).mean()


def prototypicality_term(
    readout: torch.Tensor, grades: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Return the hinge on products of differences of grade and read-out, over pairs at random.

    Args:
        readout: Shape ``(n, 10)``.
        grades: People's, ``(n, 10)``.
        rng: Draws the pairs.
    """
    parts = []
    for own, grade in zip(readout.T, grades.T, strict=True):
        rows = torch.nonzero(grade > 0).flatten()
        n = len(rows)
        if n < FEWEST_OF_A_DIMENSION:
            continue
        shuffled = rows[torch.as_tensor(rng.permutation(n), device=rows.device)]
        count = min(PAIRS, n * (n - 1) // 2)
        if 2 * count <= n:
            first, second = shuffled[:count], shuffled[count : 2 * count]
        else:
            first = shuffled[:count]
            second = first.roll(-1)
        product = (grade[first] - grade[second]) * (own[first] - own[second])
        parts.append(torch.relu(ORDER_MARGIN - product).mean())
    return torch.stack(parts).mean() if parts else readout.new_zeros(())


def one_dimension_term(
    codes: torch.Tensor, grades: torch.Tensor, primary: torch.Tensor
) -> torch.Tensor:
    """Return the mean square of latents of one dimension on texts of another.

    Args:
        codes: Of the trained latents, ``(n, m)``.
        grades: People's, ``(n, 10)``; the first of the highest is a text's dimension.
        primary: Dimension of each latent, -1 for those without, ``(m,)``.
    """
    strict = primary >= 0
    if not strict.any():
        return codes.new_zeros(())
    elsewhere = primary[strict] != grades.argmax(dim=1, keepdim=True)
    return (codes[:, strict].square() * elsewhere).mean()


def sampler_weights(grades: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely each text is drawn, summing to 1; grades ``(n, 10)``."""
    virtue, vice = grades[:, 0::2].max(axis=1), grades[:, 1::2].max(axis=1)
    highest = np.maximum(virtue, vice)
    weights = np.select([highest == 0, highest <= 0.25, highest <= 0.5], [0.3, 1.0, 1.5], 2.0)
    good, bad = (virtue > 0) & (virtue > vice), (vice > 0) & (vice > virtue)
    ratio = good.sum() / max(int(bad.sum()), 1)
    if ratio > 1.5:
        weights[bad] *= min(ratio, 3)
    elif ratio < 0.67:
        weights[good] *= min(1 / max(ratio, 1e-9), 3)
    share: NDArray[np.float64] = weights / weights.sum()
    return share


def one_cycle(step: int, steps: int) -> tuple[float, float]:
    """Return learning rate and first beta of a step, as torch's ``OneCycleLR`` sets them."""
    turn, end = WARMUP * steps - 1, steps - 1
    low, last = RATE / 25, RATE / 25 / 1000

    def between(start: float, stop: float, share: float) -> float:
        return stop + (start - stop) / 2 * (1 + math.cos(math.pi * share))

    if step <= turn:
        return between(low, RATE, step / turn), between(0.95, 0.85, step / turn)
    share = (step - turn) / (end - turn)
    return between(RATE, last, share), between(0.85, 0.95, share)


class Paper(Taught):
    """The paper's six losses on mean states."""

    def __init__(self, changed: Splice, banks: Banks, data: AlignData, spec: AlignSpec) -> None:
        """Prepare.

        Args:
            changed: The trained latents, those of ``banks``.
            banks: What they are for.
            data: What it is trained on.
            spec: Not asked: the paper has its own numbers.
        """
        super().__init__(changed, data, spec)
        device = changed.device
        self._splice, self._banks = changed, banks
        means = data.means[data.of("train")].astype(np.float64)
        self._unit = float(np.sqrt(np.square(means - means.mean(axis=0)).mean()))
        self._readout = as_tensor(banks.readout, device)
        self._primary = torch.from_numpy(banks.primary).to(device)
        self._pooled = {
            texts.split: changed.prepare(texts.means) for texts in (self.train, self.validation)
        }
        self._share = sampler_weights(self.train.membership)
        batch = min(BATCH, len(self.train))
        self._batch, per_epoch = batch, len(self.train) // batch
        steps = EPOCHS * per_epoch
        self.course = Course(
            steps,
            per_epoch,
            PATIENCE,
            GAIN,
            partial(torch.optim.AdamW, lr=RATE, weight_decay=DECAY),
            partial(one_cycle, steps=steps),
            untouched=False,
        )
        rows = self.validation.every
        with torch.no_grad():
            still = self.terms(self.validation, rows, np.random.default_rng(0), silent=True)
        self.silent = tuple(float(one) for one in still)

    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss on a batch, drawn with repeats."""
        rows = rng.choice(len(self.train), self._batch, p=self._share)
        return self.cost(self.train, rows, rng)

    def check(self, step: int, rng: np.random.Generator) -> AlignStep:
        """Return what validation texts say.

        The loss, which stops it, draws pairs anew each time, as in the paper; the terms, which are
        compared, are of the same pairs.
        """
        texts, rows = self.validation, self.validation.every
        loss = float(_total(self.terms(texts, rows, rng)))
        terms = self.terms(texts, rows, np.random.default_rng(0))
        return self.told(step, loss)._replace(terms=tuple(float(one) for one in terms))

    def cost(
        self, texts: Texts, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> torch.Tensor:
        """Return what is minimised."""
        return _total(self.terms(texts, rows, rng or np.random.default_rng(0)))

    def terms(
        self,
        texts: Texts,
        rows: NDArray[np.int64],
        rng: np.random.Generator,
        *,
        silent: bool = False,
    ) -> list[torch.Tensor]:
        """Return the six terms.

        Args:
            texts: Of a split.
            rows: Which of them.
            rng: Draws pairs.
            silent: What they would be if the trained latents were never on.
        """
        pooled = self._pooled[texts.split].take(torch.as_tensor(rows, device=self.changed.device))
        codes, others = self._splice.codes(pooled)
        if silent:
            codes = torch.zeros_like(codes)
            others = None if pooled.rivals is None else pooled.rivals[0]
        grades = as_tensor(texts.membership[rows], codes.device)
        missed = pooled.missed - self._splice.written(pooled, codes, others)
        sparsity = self._sparsity(codes, others) / self._unit
        codes = codes / self._unit
        readout = codes @ self._readout
        return [
            (missed / self._unit).square().mean(),
            sparsity,
            alignment_term(readout, grades),
            polarity_term(codes, grades, self._banks.poles),
            prototypicality_term(readout, grades, rng),
            one_dimension_term(codes, grades, self._primary),
        ]

    def _sparsity(self, codes: torch.Tensor, others: torch.Tensor | None) -> torch.Tensor:
        """Return the mean activation; latents that no training can switch are left out."""
        total = codes.sum() if others is None else codes.sum() + others.sum()
        return total / (len(codes) * self.changed.before.n_latents)


def _total(terms: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([w * one for w, one in zip(TERMS.values(), terms, strict=True)]).sum()


# --- which terms improved ---


class TermVerdict(NamedTuple):
    """What became of one term on validation texts."""

    name: str
    """Of ``TERMS``."""

    before: float
    """Untouched."""

    after: float
    """After training."""

    silent: float
    """If the trained latents were never on."""

    said: Said
    """``towards silence``: it fell, but not below what latents reach that are never on."""


def term_verdicts(
    curve: Sequence[AlignStep], best: int, silent: Sequence[float], *, least: float = 0.01
) -> list[TermVerdict]:
    """Return which terms improved, and which only fell to what silence gives.

    Args:
        curve: Checks on validation texts, the untouched first.
        best: Which was kept.
        silent: The terms if the trained latents were never on.
        least: A smaller share is no difference.
    """
    found = []
    for name, before, after, still in zip(
        TERMS, curve[0].terms, curve[best].terms, silent, strict=True
    ):
        said: Said = "not improved"
        if after < before * (1 - least):
            said = "improved" if after < still * (1 - least) else "towards silence"
        found.append(TermVerdict(name, before, after, still, said))
    return found
