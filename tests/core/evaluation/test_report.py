"""What a report may say: nothing by a judge at chance, of an arm only what lies beyond A/A."""

import numpy as np
import pytest

from core.evaluation.answers import Answer
from core.evaluation.export import markdown
from core.evaluation.plots import arms_figure
from core.evaluation.prompts import builtin_prompts
from core.evaluation.report import AGAIN, PLAIN, Evaluation, Judgement
from core.evaluation.trust import Trust
from core.evaluation.verdicts import Showing
from core.evaluation.view import arm_rows, arm_table, pair_table
from core.statistics.bootstrap import Estimate

WIN, LOSS, TIE = Showing("first", "second"), Showing("second", "first"), Showing("first", "first")
HALF = Estimate(0.5, 0.4, 0.6)


def made(arm=WIN, again=TIE, *, p=0.001, accuracy=0.9, text="a fine answer", judged=None, odd=9.0):
    prompts = builtin_prompts()
    n = len(prompts)
    answer = Answer("one two three", 3, False)
    answers = {PLAIN: [answer] * n, AGAIN: [answer] * n, "arm": [Answer(text, 4, True)] * n}
    trust = Trust(Estimate(accuracy, 0.7, 1), p, HALF, HALF, 0.0, 24)
    judgements = (
        Judgement("safer", AGAIN, (again,) * n),
        Judgement("safer", "arm", judged or (arm,) * n),
    )
    costs = {PLAIN: np.nan, AGAIN: np.nan, "arm": 0.1}
    odds = {PLAIN: np.full(n, 8.0), AGAIN: np.full(n, 8.0), "arm": np.broadcast_to(odd, n)}
    return Evaluation(prompts, answers, costs, "judge", trust, judgements, odds)


def test_an_arm_beyond_chance_and_a_a_is_named():
    assert made().beyond("safer", "arm")
    assert made().told("safer").startswith("arm is better than plain (1.00 [1.00, 1.00])")
    assert made(LOSS).told("safer").startswith("arm is worse")
    assert "no difference beyond chance and A/A: arm" in made(TIE).told("safer")


def test_an_arm_that_wins_no_more_than_a_a_is_none():
    assert not made(WIN, WIN).beyond("safer", "arm")


def test_a_judge_at_chance_says_nothing_and_a_weak_one_is_called_so():
    assert made(p=0.2).told("safer").endswith("its verdicts say nothing.")
    assert "arm" not in made(p=0.2).told("safer")
    assert "read its verdicts as a hint" in made(accuracy=0.7).told("safer")


def test_broken_text_does_not_win_unseen():
    told = made(text="no no no no no no").told("safer")
    assert "but not without its 120 broken answers" in told
    assert made(text="no no no no no no").broken_pairs("arm").all()
    assert made(text="").broken_pairs("arm").all()
    assert not made().broken_pairs("arm").any()


def test_a_win_by_odd_answers_is_no_win_without_them():
    n = len(builtin_prompts())
    odd = np.where(np.arange(n) < n // 2, 25.0, 8.0)  # more than three times as odd: half of them
    judged = (WIN,) * (n // 2) + (TIE,) * (n - n // 2)
    found = made(odd=odd, judged=judged)
    assert found.beyond("safer", "arm")
    assert found.broken_pairs("arm").sum() == n // 2
    assert found.sound("safer", "arm").value == 0.5
    assert "but not without its 60 broken answers (0.50 [0.50, 0.50])" in found.told("safer")
    [_, row] = arm_table(found, "safer").to_dict("records")
    assert (row["broken"], row["without broken"]) == (0.5, 0.5)
    assert row["perplexity"] == pytest.approx(np.sqrt(25 * 8))
    assert row["perplexity low"] < row["perplexity"] < row["perplexity high"]
    assert pair_table(found, "safer", "arm")["broken"].sum() == 60
    figure = arms_figure(arm_rows(found, "safer"), None, faint=False)
    assert list(figure.data[-1].x) == [0.5]  # hollow, beside the whole
    sound = made(odd=odd, judged=(WIN,) * n)
    assert sound.told("safer").startswith("arm is better than plain (1.00 [1.00, 1.00]).")


def test_an_arm_whose_text_is_odd_as_a_whole_is_marked_even_where_it_wins_without():
    n = len(builtin_prompts())
    odd = np.where(np.arange(n) < n - 20, 1e6, 9.0)
    found = made(odd=odd)
    assert found.broken("arm")
    assert "but its text is broken" in found.told("safer")
    assert "| arm | 120 | 0 | 0 | 0 | 1.00 [1.00, 1.00] | 100 |" in markdown(found)


def test_dimensions_are_counted_apart():
    rng = np.random.default_rng(0)
    prompts = builtin_prompts()
    judged = tuple(
        WIN if one.dimension == "Safety" else (LOSS if rng.random() < 0.5 else WIN)
        for one in prompts.prompts
    )
    found = made(judged=judged)
    assert found.standing("safer", "arm", "Safety").net.value == 1
    parts = [found.standing("safer", "arm", one) for one in prompts.dimensions]
    whole = found.standing("safer", "arm")
    assert sum(one.wins for one in parts) == whole.wins
    assert whole.net.value == pytest.approx(np.mean([one.net.value for one in parts]))


def test_strength_and_the_papers_rate_stand_beside():
    found = made()
    assert found.strengths("safer")["arm"].value > 2
    assert found.papers_rate("safer", "arm") == 1
    assert found.papers_rate("safer", AGAIN) == 0  # it always took the first


def test_what_is_worked_out_is_worked_out_once_and_for_each_judge_apart():
    found = made()
    assert found.standing("safer", "arm") is found.standing("safer", "arm")
    assert found.strengths("safer") is found.strengths("safer")
    lost = found.by({("safer", "arm"): (LOSS,) * len(found.prompts)}, "someone else")
    assert (found.standing("safer", "arm").wins, lost.standing("safer", "arm").wins) == (120, 0)
    assert lost.strengths("safer")["arm"].value < 0 < found.strengths("safer")["arm"].value
