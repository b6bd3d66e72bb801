"""Words of page and command line name the same arms, judges and questions."""

import numpy as np
import pytest
import torch

from core.activations.jobs import reading
from core.evaluation.answers import Arm
from core.evaluation.endpoint import KEY, URL, EndpointJudge
from core.evaluation.jobs import evaluation
from core.evaluation.prompts import builtin_prompts
from core.evaluation.report import PLAIN
from core.evaluation.request import (
    halved,
    judge_named,
    judge_word,
    named_arms,
    offered_arms,
    prompts_named,
    recipe_arms,
    word_of,
)
from core.evaluation.spec import EvaluateSpec, EvaluationError, default_arms, usable
from core.sae import patches
from core.sae.patches import Patch, save_patch
from core.sae.shelf import keep_dictionary
from core.steering.recipes import RecipeError
from tests.core.benches import finish
from tests.core.evaluation.evaluations import FEW, SHORT, coin
from tests.core.evaluation.test_judging import Rule
from tests.core.sae.saesets import made_dictionary


def keep_alignment(work, study, base, *arms, **more):
    """Keep alignments of a dictionary as the Align page does, each a little other."""
    for number, arm in enumerate(arms, 1):
        some = Patch.of(base, np.arange(8))
        changed = Patch(some.latents, some.w_enc, some.b_enc, some.w_dec * (1 + number / 5))
        after = changed.applied(base, f"{arm} of {base.info.name}", {})
        key = {"model": study.card.identity, "arm": arm, "seed": 0, **more}
        with work.store.writing(patches.KIND, key) as folder:
            save_patch(changed, after, base, folder)


@pytest.fixture
def aligned(bench):
    work, study = bench
    finish(work, reading(work, study))
    base = made_dictionary(48, k=6)
    keep_dictionary(work.store, base, study.card)
    keep_alignment(work, study, base, "repaired", "shuffled")
    return work, study, base


def test_without_an_alignment_the_usual_arms_are_offered(bench):
    work, study = bench
    assert offered_arms(work, study) == default_arms(study)


def test_what_was_aligned_is_offered_added_and_replacing_beside_its_control(aligned):
    work, study, base = aligned
    more = offered_arms(work, study)[5:]
    assert [word_of(one) for one in more] == [
        "aligned",
        "replaced",
        "shuffled",
        "shuffled-replaced",
    ]
    assert [one.recipe.operation for one in more] == ["align", "replace"] * 2
    assert {one.recipe.layers for one in more} == {(base.info.layer,)}
    assert len({one.recipe.terms[0].axis for one in more}) == 2
    spec, problems = usable(work, study, EvaluateSpec(offered_arms(work, study), decoding=SHORT))
    assert (len(spec.arms), problems) == (9, [])


def test_one_with_its_control_goes_before_a_newer_one_without(aligned):
    work, study, base = aligned
    before = offered_arms(work, study)
    keep_alignment(work, study, base, "repaired", spec="tried for its objective alone")
    assert offered_arms(work, study) == before


def test_aligned_arms_stand_at_the_divergence_of_the_others(aligned):
    work, study, _ = aligned
    arms = named_arms(offered_arms(work, study), ["aligned", "replaced", "shuffled"])
    spec = EvaluateSpec(arms, ("safer",), SHORT, kl=0.002)
    made = evaluation(work, study, FEW, spec, Rule(coin))
    finish(work, made)
    costs = made.open().costs
    assert [costs[arm.name] for arm in arms[1:]] == pytest.approx([0.002] * 3, rel=0.06)
    assert len({costs[arm.name] for arm in arms[1:]}) == 3


def test_an_alignment_of_another_kind_or_without_its_base_is_not_offered(bench):
    work, study = bench
    base = made_dictionary(48, k=6)
    keep_alignment(work, study, base, "repaired")  # its base is not at hand
    assert len(offered_arms(work, study)) == 5
    keep_dictionary(work.store, base, study.card)
    keep_alignment(work, study, base, "repaired", without="care-harm")
    assert [one.name for one in offered_arms(work, study)[5:]] == ["aligned", "aligned, replaced"]
    other = made_dictionary(48, k=6, seed=1)
    keep_dictionary(work.store, other, study.card)
    keep_alignment(work, study, other, "shuffled", dictionary=other.digest)
    assert len(offered_arms(work, study)) == 7  # it is of another alignment
    assert not torch.equal(base.w_dec, other.w_dec)


def test_words_name_arms_and_arms_their_words(bench):
    work, study = bench
    offered = offered_arms(work, study)
    packed = offered[3].recipe.packed()
    words = ["random", f"recipe:{packed}", "again"]
    arms = named_arms(offered, words)
    assert [arm.name for arm in arms] == [PLAIN, "random push", "your recipe", "plain again"]
    assert [word_of(arm) for arm in arms[1:]] == words
    assert [arm.name for arm in recipe_arms([packed, packed])] == ["your recipe 1", "your recipe 2"]
    with pytest.raises(EvaluationError, match=r"'aligned' on the shelf\. Possible: again, prompt"):
        named_arms(offered, ["aligned"])
    with pytest.raises(RecipeError, match="damaged"):
        named_arms(offered, ["recipe:???"])
    assert Arm(PLAIN) == arms[0]


def test_judges_and_questions_have_words_too(bench, monkeypatch):
    work, study = bench
    local = judge_named(work, str(study.card.spec))
    assert judge_named(work, judge_word(local)).key == local.key
    monkeypatch.setenv(URL, "http://127.0.0.1:9/v1")
    monkeypatch.delenv(KEY, raising=False)
    far = judge_named(work, "endpoint:some/model")
    assert isinstance(far, EndpointJudge)
    assert judge_word(far) == "endpoint:some/model"
    every = builtin_prompts()
    report, choose = (set(halved(every, half).texts) for half in ("report", "choose"))
    assert report | choose == set(halved(every, "all").texts)
    assert not report & choose
    assert prompts_named(work, "builtin").word == halved(every, "report").word == "builtin"
