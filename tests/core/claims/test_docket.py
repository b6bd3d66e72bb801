"""Dockets: the paper's own, what a file may hold, and verdicts from what is cached."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.__main__ import main
from core.activations.prompts import ReadSpec
from core.claims import docket, evidence
from core.claims.claim import claim_of
from core.claims.docket import PAPER_FILE, docket_of, hear, read_docket
from core.claims.evidence import COPY, SHUFFLED, Evidence, Exhibit, witness_of
from core.claims.judge import OPEN, REFUTED, SUPPORTED, Verdict, judge
from core.claims.view import table_of
from core.cli.desk import ReadRequest, study_of
from core.diagnosis import waterfall
from core.diagnosis.jobs import repaired
from core.diagnosis.waterfall import Step
from core.measures.result import NOTHING
from core.models.spec import ModelSpec
from core.statistics.bootstrap import Estimate
from tests.core.leaderboard.manysets import FEW, diagnosed

LOW = b'[[claim]]\nname = "Low"\ntest = "gradient"\ndirection = "below"\nthreshold = 0.55\n'


@pytest.fixture
def exhibit(study, make_diagnosis):
    """Return a planted model, .6 at its chosen layer, whose untrained copy gives .05."""
    copy = make_diagnosis(study, flat=True)
    return Exhibit("planted", "packaged", make_diagnosis(study), copy)


@pytest.fixture
def random_exhibit(study, make_diagnosis):
    """Return a model that gives what its untrained copy gives."""
    own, copy = make_diagnosis(study, flat=True), make_diagnosis(study, flat=True, shift=0.01)
    return Exhibit("random", "packaged", own, copy)


def ruled(exhibit, direction="above", threshold=0.3, test="gradient", **more):
    keys = {"name": "c", "test": test, "direction": direction, "threshold": threshold}
    claim = claim_of(keys | more)
    return judge(claim, [witness_of(claim, exhibit, "builtin")])


# Files ------------------------------------------------------------------------------------------


def test_the_papers_docket_means_something_throughout():
    entries = read_docket(PAPER_FILE)
    assert [one for one in entries if one.claim is None] == []
    assert {one.claim.test for one in entries} == {
        "categorical", "gradient", "structural", "dimensional",
    }  # fmt: skip
    assert {one.claim.effect_of for one in entries} >= {"parameters", "training", "architecture"}
    assert all(one.claim.says and one.claim.source for one in entries)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "mine.toml holds no claim"),
        (b"claim = []", "mine.toml holds no claim"),
        (b"claim = 3", "mine.toml holds no claim"),
        (b'[[claims]]\nname = "x"', "holds 'claims', which is not known. Did you mean claim?"),
        (b"[[claim]\n", "mine.toml is not TOML"),
        (b"\xff\xfe", "mine.toml is not TOML"),
        (b"a = " + b"[" * 5000, "mine.toml is not TOML"),
        (b"[[claim]]\n" * 201, "holds 201 claims; 200 at most are heard at once"),
        (b"#" * 1_000_001, "too large for a docket: more than 1 MB"),
    ],
)
def test_a_file_that_is_no_docket_is_told_what_one_looks_like(content, said, tmp_path):
    with pytest.raises(CoreError) as error:
        docket_of(content, "mine.toml")
    assert said in str(error.value)
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(CoreError):
        read_docket(path)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(CoreError, match="Name a TOML file, or 'paper'"):
        read_docket(PAPER_FILE.with_name("none.toml"))


def test_a_wrong_claim_does_not_spoil_the_others():
    entries = docket_of(LOW + LOW + b'[[claim]]\nname = "Odd"\ntest = "gradent"\n', "mine.toml")
    assert [one.name for one in entries] == ["Low", "Low", "Odd"]
    assert entries[0].problem == ""
    assert "another claim of this docket has this name" in entries[1].problem
    assert "direction is missing" in entries[2].problem


# Planted figures --------------------------------------------------------------------------------


def test_planted_figures_give_each_verdict(exhibit):
    assert ruled(exhibit, "above", 0.3).word == SUPPORTED
    assert ruled(exhibit, "below", 0.3).word == REFUTED
    assert ruled(exhibit, "above", 0.58).word == OPEN
    assert ruled(exhibit, "above", 0.1, layers="every").word == SUPPORTED
    assert ruled(exhibit, "above", 0.4, layers="every").word == REFUTED
    assert ruled(exhibit, "above", 0.4, layers="some").word == SUPPORTED
    assert ruled(exhibit, "above", 0.4, null="words").word == OPEN  # .50 ± .10
    assert ruled(exhibit, "above", 0.3, null="words").word == SUPPORTED
    assert ruled(exhibit, "above", 0.3, null="untrained").word == SUPPORTED
    low = ruled(exhibit, "below", 0.9)
    assert low.word == SUPPORTED
    assert "an untrained copy lie there, too" in low.why


def test_figures_and_controls_of_a_verdict_are_the_scorecards(exhibit):
    (one,) = ruled(exhibit, "above", 0.3).models
    assert one.figure == pytest.approx((0.6, 0.55, 0.65))
    assert one.decisive.layer == 1
    assert one.beside[COPY] == pytest.approx((0.05, 0.0, 0.1))
    assert one.beside[SHUFFLED] == pytest.approx((0.0, -0.03, 0.03))
    assert one.witness.receipt["untrained"]["figures"]


def test_a_random_model_never_looks_moral(random_exhibit):
    for test in ("categorical", "gradient", "structural", "dimensional"):
        for threshold in (0.01, 0.05, 0.2, 0.6):
            for null in ({}, {"null": "words"}, {"null": "shuffled"}):
                for layers in ("chosen", "every", "some"):
                    verdict = ruled(random_exhibit, "above", threshold, test, layers=layers, **null)
                    assert verdict.word != SUPPORTED, verdict
    assert ruled(random_exhibit, "above", 0.05, null="untrained").word != SUPPORTED


def test_an_untrained_copy_is_heard_as_no_model(study, make_diagnosis):
    copy = replace(
        Exhibit("copy", "packaged?untrained=0", make_diagnosis(study)), unusable="it is a control."
    )
    verdict = ruled(copy, "above", 0.3)
    assert verdict.word == OPEN
    assert verdict.why.endswith("; it is a control.")


def test_what_is_missing_is_told_with_the_command_that_measures_it(study, make_diagnosis):
    nothing = Exhibit("m", "packaged")
    assert ruled(nothing).why == (
        "It was not measured on this set yet: python -m core diagnose packaged --items builtin"
    )
    alone = Exhibit("m", "packaged", make_diagnosis(study))
    assert ruled(alone).why.endswith(
        "on the claimed side. Its untrained copy was not measured: "
        "python -m core diagnose packaged --items builtin"
    )
    gone = Exhibit("m", "folder:/gone", problem="There is no folder /gone.")
    assert ruled(gone).why == "There is no folder /gone."
    no_words = make_diagnosis(study)
    no_words = replace(no_words, baselines={})
    without = ruled(Exhibit("m", "packaged", no_words, no_words), null="sentence")
    assert (without.word, without.why) == (OPEN, "It cannot be computed.")


def test_parts_and_poles_are_read_from_all_texts(exhibit):
    care = ruled(exhibit, "above", 0.3, part="care")
    assert (care.word, care.why) == (OPEN, "It cannot be computed.")  # planted as NaN
    assert ruled(exhibit, "above", 0.0, part="vice", null="virtue").word == OPEN
    # All poles together are held against the five virtues, of which nothing is planted here.
    assert ruled(exhibit, "within", 0.5, null="virtue").why == "It cannot be computed."


def test_the_papers_own_figure_is_judged_beside_that_of_the_copy():
    figure = {"gradient": Estimate(0.7, 0.6, 0.8)}
    asked = {"statistic": "paper"}
    missing = ruled(Exhibit("m", "packaged"), **asked)
    assert missing.why.endswith("python -m core diagnose packaged --items builtin --waterfall")
    alone = ruled(Exhibit("m", "packaged", paper=figure), **asked)
    assert alone.word == OPEN
    assert "diagnose 'packaged?untrained=0' --items builtin --waterfall" in alone.why
    low = {"gradient": Estimate(0.1, 0.0, 0.2)}
    assert ruled(Exhibit("m", "packaged", paper=figure, paper_copy=low), **asked).word == SUPPORTED
    same = Exhibit("m", "packaged", paper=figure, paper_copy=figure)
    assert ruled(same, **asked).word == OPEN


def test_the_table_has_a_row_per_claim_and_model_with_its_controls(exhibit):
    one = ruled(exhibit, "above", 0.3)
    table = table_of([one, Verdict("Odd", OPEN, "It means nothing.")])
    assert table["claim"].tolist() == ["c", "Odd"]
    assert table["value"].tolist() == pytest.approx([0.6, np.nan], nan_ok=True)
    assert table[COPY][0] == pytest.approx(0.05)


# From a cache -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def court(tmp_path_factory, tiny_llama_folder):
    """Return a desk where a tiny random model and its copy were diagnosed, and the set."""
    root = tmp_path_factory.mktemp("court")
    desk, study, _ = diagnosed(root, tiny_llama_folder)
    return desk, study.items.digest, str(study.card.spec)


def test_of_the_papers_docket_a_random_model_supports_indifference_alone(court):
    desk, items, model = court
    verdicts = hear(desk.work, read_docket(PAPER_FILE), items)
    supported = [one for one in verdicts if one.word == SUPPORTED]
    assert all(one.claim.direction != "above" for one in supported)
    beside = [one for one in supported if not one.claim.null]
    assert all("there, too" in one.why for one in beside)  # its copy is as random
    heard = [one for one in verdicts if one.models and one.claim.models == "all"]
    assert {each.witness.model for one in heard for each in one.models} == {model}
    assert any(not np.isnan(each.figure.low) for one in heard for each in one.models)


def test_models_are_found_on_the_leaderboard_and_copies_are_not_among_them(court):
    desk, items, model = court
    found = Evidence(desk.work, items)
    assert found.models(read_docket(PAPER_FILE)[0].claim) == [model]
    assert found.exhibit(model).own.spec == FEW
    assert found.exhibit(model).copy is not None
    group = claim_of(
        {"name": "c", "test": "gradient", "direction": "above", "threshold": 0.1}
        | {"models": {"training": "base"}}
    )
    assert found.hear(group).why == (
        f"No model that it speaks of was measured here: python -m core sweep LIST --items {items}"
    )


def test_the_papers_own_figure_is_found_where_it_was_measured(court, monkeypatch):
    desk, items, model = court
    claim = claim_of(
        {"name": "c", "test": "gradient", "direction": "above", "threshold": 0.3}
        | {"statistic": "paper"}
    )
    assert "--waterfall" in Evidence(desk.work, items).hear(claim).why
    for untrained_too, value, word in ((None, 0.7, OPEN), (0, 0.1, SUPPORTED)):
        figure = Estimate(value, value - 0.1, value + 0.1)
        step = Step("gradient", "The paper's procedure", "", 1, figure, NOTHING)
        monkeypatch.setattr(waterfall, "_measured", lambda *_, step=step: {"gradient": [step]})
        spec = replace(ModelSpec.parse(model), untrained_seed=untrained_too)
        study = study_of(desk, ReadRequest(spec, items, ReadSpec()))
        repaired(desk.work, study, draws=FEW.draws, seed=FEW.seed).get()
        verdict = Evidence(desk.work, items).hear(claim)
        assert verdict.word == word
        assert "typicality with neutrals 0.70 [0.60, 0.80]" in verdict.why


def test_the_papers_models_are_missing_here_and_the_hub_is_not_asked(court, monkeypatch):
    desk, items, _ = court
    monkeypatch.setattr(
        evidence, "study_of", lambda work, items, spec, read: pytest.fail(f"looked for {spec}")
    )
    keys = {"name": "c", "test": "gradient", "direction": "above", "threshold": 0.1}
    verdict = Evidence(desk.work, items).hear(claim_of({**keys, "models": "paper"}))
    assert verdict.word == OPEN
    assert len(verdict.models) == 23
    assert verdict.why.startswith("23 of 23 models leave it open.")
    assert "python -m core diagnose hub:" in verdict.why


def test_why_claims_are_open_is_counted(exhibit):
    found = [
        ruled(exhibit, "above", 0.3),
        ruled(exhibit, "above", -0.5),
        ruled(exhibit, "above", 0.58),
        ruled(Exhibit("m", "packaged")),
    ]
    assert docket.counted(found) == "1 supported, 0 not supported, 3 not decidable here"
    assert docket.reasons(found) == (
        "Not decidable: 1 on a side where a control is, too; 1 with an interval over the bound; "
        "1 not measured, or not computable."
    )
    assert docket.reasons(found[:1]) == ""


def test_named_models_that_are_not_here_and_sets_that_are_not_here_are_told(court):
    desk, items, _ = court
    named = LOW + b'models = ["folder:/nowhere/model"]\n'
    other = LOW.replace(b"Low", b"Other") + b'items = "0123456789ab"\n'
    verdicts = hear(desk.work, docket_of(named + other, "mine.toml"), items)
    assert [one.word for one in verdicts] == [OPEN, OPEN]
    assert "/nowhere/model" in verdicts[0].why
    assert "0123456789ab" in verdicts[1].why


def test_the_command_writes_text_json_and_a_file(court, monkeypatch, capsys, tmp_path):
    desk, items, _ = court
    monkeypatch.setenv("MORALSCOPE_CACHE", str(desk.work.store.root))
    out = tmp_path / "verdicts.json"
    assert main(["claim", "paper", "--items", items, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "NOT DECIDABLE HERE  Scale does not change typicality" in text
    assert "Too few models: 1 of at least 5." in text
    assert "  - and 18 more: 0 supported, 0 not supported, 18 not decidable here." in text
    kept = json.loads(out.read_text())
    first = kept["verdicts"][0]
    assert first["models"][0]["witness"]["receipt"]["figures"]
    assert first["claim"]["threshold"] == 1.0
    assert main(["claim", "paper", "--items", items, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == kept
    assert main(["claim", str(tmp_path / "none.toml")]) == 2
    assert "Name a TOML file" in capsys.readouterr().err


def test_claims_are_judged_alike_in_any_order(court):
    desk, items, _ = court
    entries = read_docket(PAPER_FILE)
    told = {one.name: docket.records([one]) for one in hear(desk.work, entries, items)}
    again = hear(desk.work, entries[::-1], items)
    assert {one.name: docket.records([one]) for one in again} == told
