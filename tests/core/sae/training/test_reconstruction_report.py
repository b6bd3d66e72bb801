"""A report agrees with plain numpy; controls are worse; a perfect reconstruction costs nothing."""

import numpy as np
import pytest
import torch

from core import CoreError
from core.models.open_models import describe, open_model
from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.training.corpora import Documents
from core.sae.training.patching import constant, reconstruction, splice_costs
from core.sae.training.reconstruction_report import (
    DENSITY_EDGES,
    ReconstructionReport,
    make_report,
    random_dictionary,
)
from core.sae.training.sampled_text import sampled_documents
from core.sae.training.token_states import TokenStates, read_tokens, states_key

LAYER = 1


@pytest.fixture
def tiny(store, llama_spec):
    return open_model(describe(llama_spec, store), store)


@pytest.fixture
def documents():
    rng = np.random.default_rng(0)
    rows = tuple(
        (1, *(int(one) for one in rng.integers(3, 290, size=size)))
        for size in rng.integers(4, 14, size=40)
    )
    return Documents(rows, ("items",) * 20 + ("file",) * 20)


def perfect(d_model):
    """Return a dictionary that loses nothing: each axis and its opposite."""
    eye = torch.eye(d_model)
    both = torch.cat([eye, -eye])
    info = DictionaryInfo("perfect", LAYER, "relu")
    return Dictionary(
        info, both.T.contiguous(), torch.zeros(2 * d_model), both, torch.zeros(d_model)
    )


def loss_by_hand(model, ids, change):
    """Return the cross-entropy of every token from the third on, through plain transformers."""

    def hook(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.cat([hidden[:, :1], change(hidden[:, 1:])], dim=1)
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = model.module.model.layers[LAYER].register_forward_hook(hook)
    try:
        with model.lock, torch.no_grad():
            logits = model.module(torch.tensor([ids])).logits[0]
    finally:
        handle.remove()
    logs = torch.log_softmax(logits.double(), dim=1)
    return np.array([-float(logs[at - 1, ids[at]]) for at in range(2, len(ids))])


def test_a_perfect_dictionary_costs_nothing_and_a_random_one_much(store, tiny):
    # Text the model wrote itself: of random tokens it knows so little that noise can help.
    written = sampled_documents(store, tiny, [[1]] * 24, 24, 0)
    mean = np.zeros(32, np.float32)
    costs = splice_costs(
        tiny,
        written,
        LAYER,
        {
            "perfect": reconstruction(perfect(32)),
            "random": reconstruction(random_dictionary(perfect(32), mean, 2, 0)),
            "zero": constant(mean),
        },
    )
    assert abs(costs.added["perfect"].value) < 1e-5
    assert costs.added["random"].value > 0.05
    assert costs.added["zero"].value > 0.05
    assert costs.tokens == sum(max(len(row) - 2, 0) for row in written)


def test_costs_agree_with_plain_transformers_one_document_at_a_time(tiny, documents):
    change = constant(np.linspace(-1, 1, 32).astype(np.float32))
    costs = splice_costs(tiny, documents.tokens, LAYER, {"fixed": change})
    plain = np.concatenate([loss_by_hand(tiny, row, lambda x: x) for row in documents.tokens])
    fixed = np.concatenate([loss_by_hand(tiny, row, change) for row in documents.tokens])
    assert costs.plain.value == pytest.approx(plain.mean(), abs=1e-5)
    assert costs.added["fixed"].value == pytest.approx((fixed - plain).mean(), abs=1e-5)
    assert costs.added["fixed"].low < costs.added["fixed"].value < costs.added["fixed"].high


def test_the_first_token_is_left_as_it_is(tiny, documents):
    seen = []

    def change(states):
        seen.append(states.shape[1])
        return states

    splice_costs(tiny, documents.tokens[:1], LAYER, {"same": change})
    assert seen == [len(documents.tokens[0]) - 1]


def test_fit_agrees_with_plain_numpy(store, tiny, documents):
    states = read_tokens(store, tiny, documents, LAYER, dtype="float32")
    dictionary = random_dictionary(perfect(32), states.rows(np.arange(50)).mean(axis=0), 3, 1)
    found = make_report(tiny, dictionary, states, states, documents)
    x = states.rows(np.arange(len(states))).astype(np.float64)
    w, b = dictionary.w_dec.numpy().astype(np.float64), dictionary.b_dec.numpy()
    before = np.maximum((x - b) @ w.T, 0)
    floor = np.sort(before, axis=1)[:, -3][:, None]
    codes = np.where(before >= floor, before, 0)
    missed = np.square(x - (codes @ w + b)).sum() / np.square(x - x.mean(axis=0)).sum()
    assert found.fits["dictionary"].fvu.value == pytest.approx(missed, rel=1e-4)
    equal = np.square(x - (codes @ w + b)).mean(axis=0) / x.var(axis=0)
    assert found.fits["dictionary"].equal.value == pytest.approx(equal.mean(), rel=1e-4)
    assert found.fits["dictionary"].l0.value == pytest.approx((codes > 0).sum(axis=1).mean())
    on = (codes > 0).mean(axis=0)
    assert found.dead == (on == 0).mean()
    density = np.histogram(np.log10(on[on > 0]), DENSITY_EDGES)[0]
    assert found.density == tuple(density)
    assert sum(found.density) == (on > 0).sum()
    inner = x - x.mean(axis=0)
    spectrum = np.linalg.svd(inner, compute_uv=False) ** 2
    assert found.fits["components"].fvu.value == pytest.approx(
        spectrum[3:].sum() / spectrum.sum(), rel=1e-3
    )
    first = x[np.array(documents.sources)[states.document] == "items"]
    assert len(first) == sum(len(row) - 1 for row in documents.tokens[:20])
    assert set(found.fits) == {"dictionary", "items", "file", "training", "components", "random"}
    assert (found.tokens, found.documents) == (len(x), 40)


def test_a_perfect_dictionary_misses_nothing_and_its_controls_do(store, tiny, documents):
    states = read_tokens(store, tiny, documents, LAYER, dtype="float32")
    found = make_report(tiny, perfect(32), states, states, documents)
    assert found.fits["dictionary"].fvu.value < 1e-9
    assert found.fits["random"].fvu.value > 0.05
    assert found.costs.recovered("dictionary") == pytest.approx(1, abs=1e-4)


def test_a_coordinate_that_is_large_owns_the_plain_share_and_not_the_equal_one(tiny, documents):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 32)).astype(np.float32)
    x[:, 0] *= 200
    x[:, 5] = 3  # never moves: no variance to miss
    first = torch.zeros(1, 32)
    first[0, 0] = 1
    both = torch.cat([first, -first])
    info = DictionaryInfo("one axis", LAYER, "relu")
    one = Dictionary(info, both.T.contiguous(), torch.zeros(2), both, torch.zeros(32))
    states = TokenStates.of(x, np.repeat(np.arange(40), 8)[:300])
    fit = make_report(tiny, one, states, states, documents).fits["dictionary"]
    assert fit.fvu.value < 0.01
    assert 0.9 < fit.equal.value < 1.1
    assert fit.equal.low < fit.equal.value < fit.equal.high


def test_a_report_survives_its_json(store, tiny, documents):
    states = read_tokens(store, tiny, documents, LAYER, dtype="float32")
    found = make_report(tiny, perfect(32), states, states, documents)
    again = ReconstructionReport.of(found.json())
    assert again.json() == found.json()
    assert again.costs == found.costs


def test_token_states_are_the_layers_without_first_tokens(store, tiny, documents):
    states = read_tokens(store, tiny, documents, LAYER, dtype="float32")
    assert len(states) == documents.positions
    for number in (0, 25, 39):
        ids = torch.tensor([documents.tokens[number]])
        with tiny.lock, torch.no_grad():
            whole = tiny.module(ids, output_hidden_states=True).hidden_states[LAYER + 1][0, 1:]
        own = states.rows(np.flatnonzero(states.document == number))
        np.testing.assert_allclose(own, whole.numpy(), atol=1e-4)


def test_token_states_go_on_where_they_were_stopped(store, tiny, documents, monkeypatch):
    from core.runtime.progress import Cancelled

    monkeypatch.setattr("core.sae.training.token_states.TOKEN_BUDGET", {"cpu": 60})
    whole = read_tokens(store, tiny, documents, LAYER, dtype="float32")
    ran = []

    def stop(done, total, note):
        ran.append(done)
        if done > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        read_tokens(store, tiny, documents, 2, dtype="bfloat16", report=stop)
    assert len(list((store.root / "partial").iterdir())) == 1
    rest = []
    resumed = read_tokens(
        store, tiny, documents, 2, dtype="bfloat16", report=lambda done, *_: rest.append(done)
    )
    assert rest[0] > 0.2
    other = read_tokens(store, tiny, documents, 2, dtype="float32")
    every = np.arange(len(whole))
    np.testing.assert_allclose(resumed.rows(every), other.rows(every), rtol=1 / 128)
    assert not list((store.root / "partial").iterdir())


def test_token_states_that_are_no_numbers_are_refused_and_not_kept(store, tiny):
    ids = tiny.tokenizer(["to lie to Zed"])["input_ids"][0]
    letter = tiny.tokenizer(["Z"])["input_ids"][0][-1]
    with torch.no_grad():
        tiny.module.get_input_embeddings().weight[letter, 3] = float("inf")
    documents = Documents(((1, 5, 6, 7), tuple(ids)), ("items", "items"))
    with pytest.raises(CoreError, match=r"layer 1, in the text 'to lie to Zed'.*hold NaN"):
        read_tokens(store, tiny, documents, LAYER)
    assert store.open_array("tokens", states_key(tiny, documents, LAYER, "bfloat16")) is None


def test_states_in_several_parts_are_one_table():
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    parts = TokenStates((values[:3], values[3:7], values[7:]), np.arange(10))
    which = np.array([9, 0, 5, 3, 3])
    np.testing.assert_array_equal(parts.rows(which), values[which])
