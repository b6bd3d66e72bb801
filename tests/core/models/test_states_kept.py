from dataclasses import replace

from core.models import states_kept
from core.models.open_models import describe, open_model
from core.models.states_kept import first_token_told


def test_which_token_is_left_out_of_the_mean_is_told(llama_spec, gpt2_spec, store):
    told = []
    for spec in (llama_spec, gpt2_spec):
        card = describe(spec, store)
        assert first_token_told(store, card) == ""
        open_model(card, store)
        told.append(first_token_told(store, card))
    assert told[0].startswith("<s>, which the tokenizer puts first, is left out of the mean (its ")
    assert told[1].startswith("the tokenizer puts none of its own first, so the first token of a ")


def test_a_model_is_checked_once_for_each_number_format(llama_spec, store, monkeypatch):
    checked = []
    real = states_kept.check_states
    monkeypatch.setattr(states_kept, "check_states", lambda m: checked.append(m) or real(m))
    for spec in (llama_spec, llama_spec, replace(llama_spec, dtype="bfloat16"), llama_spec):
        open_model(describe(spec, store), store)
    assert [model.card.dtype for model in checked] == ["float32", "bfloat16"]
