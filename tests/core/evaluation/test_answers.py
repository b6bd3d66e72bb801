"""Arms answer under the same random numbers; batches are kept; the engine is transformers' own."""

import numpy as np
import pytest

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec
from core.evaluation.answers import Answer, Arm, _clean, answers, framed, kept_answers, parquet
from core.evaluation.prompts import Prompt
from core.models.spec import ModelSpec
from core.runtime.progress import Cancelled
from core.steering.edits import resolve
from core.steering.recipes import Recipe, RecipeError, Term
from core.workbench import Workbench
from tests.core.benches import done
from tests.core.steering.steeringsets import balanced_rows

PROMPTS = [f"May I take {number} of them?" for number in range(30)]
SHORT = Decoding(tokens=6)


@pytest.fixture(scope="module")
def bench(tiny_llama_folder, tmp_path_factory):
    work = Workbench.at(tmp_path_factory.mktemp("bench") / "cache")
    table = tmp_path_factory.mktemp("table") / "t.tsv"
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    table.write_text("\n".join(["action\tfoundation\tjudgement\tagreement", *rows]) + "\n")
    items = done(work.add_items(ItemSpec("file", table))).result
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    study = study_of(work, items, spec, ReadSpec())
    reading(work, study).get()
    return work, study, work.shelf.get(spec)


def recipe(study, strength):
    read = study.plan.spec
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        read.template,
        (1,),
        (Term("care-harm", strength),),
    )


def test_greedy_answers_are_those_of_generate(bench):
    work, _, model = bench
    greedy = Decoding(tokens=6, temperature=0)
    found = answers(work.store, model, Arm("plain"), [], PROMPTS[:3], greedy)
    for prompt, answer in zip(PROMPTS, found, strict=False):
        ids = model.tokenizer(framed(model, prompt, ""), return_tensors="pt")
        whole = model.module.generate(**ids, max_new_tokens=6, do_sample=False)
        text = model.tokenizer.decode(
            whole[0, ids["input_ids"].shape[1] :], skip_special_tokens=True
        )
        assert answer.text == _clean(text)


def test_nothing_done_is_the_plain_answer_and_a_push_is_another(bench):
    work, study, model = bench
    plain = answers(work.store, model, Arm("plain"), [], PROMPTS, SHORT)
    for strength, same in ((0.0, True), (2.0, False)):
        arm = Arm("push", recipe(study, strength))
        edits = resolve(work.store, study, arm.recipe) if strength else []
        found = answers(work.store, model, arm, edits, PROMPTS, SHORT)
        assert (found == plain) is same
    another = answers(work.store, model, Arm("again", seed=1), [], PROMPTS, SHORT)
    assert another != plain


def test_a_prompt_draws_the_same_numbers_whatever_stands_beside_it(bench):
    work, _, model = bench
    together = answers(work.store, model, Arm("plain"), [], PROMPTS[:4], SHORT)
    turned = answers(work.store, model, Arm("plain"), [], PROMPTS[:4][::-1], SHORT)
    assert turned[::-1] == together


def test_a_stopped_arm_goes_on_where_it_stopped(bench, store):
    _, _, model = bench

    def stop(done, *_):
        if done == 24:
            raise Cancelled

    arm = Arm("plain")
    with pytest.raises(Cancelled):
        answers(store, model, arm, [], PROMPTS, SHORT, stop)
    assert kept_answers(store, model.card, arm, PROMPTS, SHORT) is None
    assert len(kept_answers(store, model.card, arm, PROMPTS[:24], SHORT)) == 24
    whole = answers(store, model, arm, [], PROMPTS, SHORT)
    assert kept_answers(store, model.card, arm, PROMPTS, SHORT) == whole


def test_thinking_and_further_questions_are_left_out():
    assert _clean("<think>hm</think> Yes.\nQuestion: and?") == "Yes."
    assert _clean("<think>never ends") == ""
    assert _clean(" No.\n\n Answer: x") == "No."


def test_repetition_is_measured():
    assert Answer("a b a b a b", 6, True).repeated == pytest.approx(0.5)
    assert Answer("all of it is new", 5, False).repeated == 0
    assert Answer("", 0, False).repeated == 0


def test_what_cannot_be_answered_says_why(bench):
    work, _, model = bench
    with pytest.raises(RecipeError, match="needs a name"):
        Arm(" ")
    with pytest.raises(CoreError, match="reads at most"):
        answers(work.store, model, Arm("plain"), [], ["word " * 3000], SHORT)


def test_an_arm_is_one_parquet_file(bench, tmp_path):
    import pandas as pd

    given = [Answer("yes", 1, False), Answer("no no no no", 4, True)]
    parquet(
        [Prompt("a", "X", ""), Prompt("b", "Y", "z")], Arm("plain"), given, tmp_path / "a.parquet"
    )
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert table["answer"].tolist() == ["yes", "no no no no"]
    assert table["dimension"].tolist() == ["X", "Y"]
    assert np.isclose(table["repeated"], [0, 0.5]).all()
