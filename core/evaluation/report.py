"""An evaluation's report: every arm against the plain model, judged, beside what chance does.

What may be said is fixed beforehand: nothing where the judge is at chance, and of an arm only what
lies beyond the plain model answering twice with other random numbers (A/A).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.evaluation.answers import Answer
from core.evaluation.judging import Pair, Question
from core.evaluation.prompts import PromptSet
from core.evaluation.trust import Trust
from core.evaluation.verdicts import (
    Battle,
    Showing,
    Standing,
    net_rate,
    papers_rate,
    standing,
    strengths,
)
from core.statistics.bootstrap import Estimate, bootstrap_mean
from core.steering.view import degenerates
from core.wording import interval

T = TypeVar("T")

PLAIN: Final = "plain"
AGAIN: Final = "plain again"
RANDOM: Final = "random push"
#: Arms that other arms are held against: other random numbers, and any push of that size.
CONTROLS: Final = (AGAIN, RANDOM)
#: An answer that repeats runs of words this much more than the plain one is broken text.
BROKEN: Final = 0.15


class Judgement(NamedTuple):
    """What one judge said of one arm."""

    question: Question
    """What was asked."""

    arm: str
    """Whose answers, held against the plain model's."""

    showings: tuple[Showing, ...]
    """One per reporting prompt."""


def pairs_of(
    prompts: PromptSet, answers: Mapping[str, Sequence[Answer]], questions: Sequence[Question]
) -> dict[tuple[Question, str], list[Pair]]:
    """Return what a judge is shown, by question and arm: each arm's answers and the plain ones."""
    return {
        (question, name): [
            (question, text, mine.text, other.text)
            for text, mine, other in zip(prompts.texts, given, answers[PLAIN], strict=True)
        ]
        for question in questions
        for name, given in answers.items()
        if name != PLAIN
    }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Arms, their answers and what a judge made of them."""

    prompts: PromptSet
    """Those that report."""

    answers: Mapping[str, Sequence[Answer]]
    """Arm -> its answers, one per prompt; ``PLAIN`` first."""

    costs: Mapping[str, float]
    """Arm -> divergence on neutral text, nats per token; NaN where it has none, as for a prompt."""

    judge: str
    """Who judged."""

    trust: Trust
    """Whether it may be believed."""

    judgements: tuple[Judgement, ...]
    """All of them."""

    perplexities: Mapping[str, NDArray[np.float64]]
    """Arm -> perplexity of each answer under the plain model, ``(n,)``; NaN of an empty one."""

    _known: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)
    """What was worked out of it: hundreds of curves are fitted for each interval."""

    @property
    def arms(self) -> list[str]:
        """Arms that are held against the plain one."""
        return [name for name in self.answers if name != PLAIN]

    @property
    def questions(self) -> list[Question]:
        """What was asked, each once."""
        return list(dict.fromkeys(one.question for one in self.judgements))

    def pairs(self, question: Question, arm: str) -> list[Pair]:
        """Return what was shown of an arm."""
        return pairs_of(self.prompts, self.answers, [question])[question, arm]

    def by(self, said: Mapping[tuple[Question, str], Sequence[Showing]], who: str) -> "Evaluation":
        """Return the same answers as someone else judged them, who needs no trial: a person."""
        judgements = tuple(
            Judgement(question, arm, tuple(showings)) for (question, arm), showings in said.items()
        )
        return replace(self, judge=who, judgements=judgements)

    def of(self, question: Question, arm: str) -> tuple[Showing, ...]:
        """Return what was said of an arm."""
        [found] = [one for one in self.judgements if (one.question, one.arm) == (question, arm)]
        return found.showings

    def longer(self, arm: str) -> NDArray[np.float64]:
        """Return how many words longer an arm's answers are than plain ones, ``(n,)``."""
        pairs = zip(self.answers[arm], self.answers[PLAIN], strict=True)
        return np.array([float(one.words - other.words) for one, other in pairs])

    def standing(self, question: Question, arm: str, dimension: str = "") -> Standing:
        """Return how an arm stands against the plain one.

        Args:
            question: In what.
            arm: Which.
            dimension: Only on prompts of it; empty: all.
        """
        return self._once(
            (question, arm, dimension), lambda: self._stands(question, arm, dimension)
        )

    def _once(self, name: Hashable, work: Callable[[], T]) -> T:
        if name not in self._known:
            self._known[name] = work()
        found: T = self._known[name]
        return found

    def _stands(self, question: Question, arm: str, dimension: str) -> Standing:
        rows = [
            row for row, one in enumerate(self.prompts.prompts) if dimension in ("", one.dimension)
        ]
        showings = self.of(question, arm)
        return standing([showings[row] for row in rows], self.longer(arm)[rows])

    def strengths(self, question: Question) -> dict[str, Estimate]:
        """Return every arm's Bradley-Terry strength over the plain one, in logits."""
        return self._once(question, lambda: self._strong(question))

    def _strong(self, question: Question) -> dict[str, Estimate]:
        battles = [
            Battle(row, one.arm, PLAIN, showing.verdict)
            for one in self.judgements
            if one.question == question
            for row, showing in enumerate(one.showings)
        ]
        return strengths(battles, PLAIN)

    def papers_rate(self, question: Question, arm: str) -> float:
        """Return the win rate as the paper computes it: one order, ties and failures as not won."""
        return papers_rate([one.arm_second for one in self.of(question, arm)])

    def perplexity(self, arm: str) -> Estimate:
        """Return the geometric mean of an arm's perplexities, with its interval over prompts."""
        logs = np.log(self.perplexities[arm])
        low = bootstrap_mean(logs, np.arange(len(logs)))
        return Estimate(*(float(np.exp(one)) for one in low))

    def broken_pairs(self, arm: str) -> NDArray[np.bool_]:
        """Return which of an arm's answers are broken beside the plain ones, ``(n,)``.

        Empty where the plain one is not, more than ``DEGENERATE`` times as odd to the plain model,
        or with ``BROKEN`` more of it said before.
        """
        odd = zip(self.perplexities[PLAIN], self.perplexities[arm], strict=True)
        texts = zip(self.answers[PLAIN], self.answers[arm], strict=True)
        return np.array(
            [
                degenerates(*both)
                or mine.repeated > plain.repeated + BROKEN
                or bool(plain.text and not mine.text)
                for both, (plain, mine) in zip(odd, texts, strict=True)
            ]
        )

    def sound(self, question: Question, arm: str) -> Estimate:
        """Return an arm's net win rate without its broken answers."""
        pairs = zip(self.of(question, arm), self.broken_pairs(arm), strict=True)
        return net_rate([showing for showing, broken in pairs if not broken])

    def broken(self, arm: str) -> bool:
        """Return whether an arm writes broken text: by its mean repetition or perplexity."""
        mine, plain = (
            float(np.mean([one.repeated for one in self.answers[name]])) for name in (arm, PLAIN)
        )
        odd = degenerates(self.perplexity(PLAIN).value, self.perplexity(arm).value)
        return odd or mine > plain + BROKEN

    def beyond(self, question: Question, arm: str) -> bool:
        """Return whether an arm differs from the plain one beyond chance and beyond A/A."""
        found = self.standing(question, arm)
        if not (found.net.low > 0.5 or found.net.high < 0.5):
            return False
        if AGAIN not in self.answers or arm == AGAIN:
            return True
        again = self.standing(question, AGAIN).net
        return found.net.low > again.high or found.net.high < again.low

    def told(self, question: Question) -> str:
        """Return what may be said, as a sentence."""
        if self.trust.level == "chance":
            return f"{self.judge}: {self.trust.told}"
        parts = []
        for arm in self.arms:
            if arm == AGAIN:
                continue
            net = self.standing(question, arm).net
            if self.beyond(question, arm):
                how = "better" if net.value > 0.5 else "worse"
                text = f"{arm} is {how} than plain ({interval(net)})"
                parts.append(text + self._caveat(question, arm, better=net.value > 0.5))
        rest = [arm for arm in self.arms if arm != AGAIN and not self.beyond(question, arm)]
        if rest:
            parts.append(f"no difference beyond chance and A/A: {', '.join(rest)}")
        weak = f" {self.trust.told}" if self.trust.level == "weak" else ""
        return f"{'; '.join(parts)}.{weak}"

    def _caveat(self, question: Question, arm: str, *, better: bool) -> str:
        """Return what broken answers take from a win."""
        sound = self.sound(question, arm)
        if better and not sound.low > 0.5:
            broken = int(self.broken_pairs(arm).sum())
            return f", but not without its {broken} broken answers ({interval(sound)})"
        return ", but its text is broken" if self.broken(arm) else ""
