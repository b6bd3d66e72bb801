"""Texts read again by the plain model, among the items."""

import numpy as np
import pytest

from core import CoreError
from core.activations.study import states_of
from core.layers import EMBEDDING
from core.maps.placing import AXES, axis_values, place_sentence, sentence_bands
from core.maps.view import ViewSpec, place_on
from core.measures.geometry import closeness
from core.measures.paper_tests import closeness_in_sample
from core.statistics.neighbours import normalised
from core.steering.effects.landing import MOST_SENTENCES, land, parts_of
from core.steering.view import landed_places, landed_table
from tests.core.steering.steeringsets import balanced_rows, opened, read_by

TEXTS = ("helping an old friend", "Stealing from a shop!")


@pytest.fixture(scope="module")
def placed(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.mark.parametrize("scaling", ["standardised", "centred"])
@pytest.mark.parametrize("layer", [EMBEDDING, 1])
def test_texts_land_where_a_sentence_of_ones_own_does(llama, placed, layer, scaling):
    store, study = placed
    found = land(store, study, llama, TEXTS, layer, "mean", scaling)
    for row, text in enumerate(TEXTS):
        alone = place_sentence(store, study, llama, text, "mean", scaling)
        np.testing.assert_allclose(found.cosine[row], alone.cosine[layer - EMBEDDING], atol=1e-4)
    assert found.states.shape == (2, 32)


def test_the_percentile_counts_items_that_are_less_close(llama, placed):
    store, study = placed
    found = land(store, study, llama, TEXTS, 1, "mean", "standardised")
    known = ~np.isnan(found.cosine)
    assert known.any()
    assert ((found.percentile[known] >= 0) & (found.percentile[known] <= 1)).all()
    assert np.isnan(found.percentile[~known]).all()
    for column in range(10):
        if known[:, column].all():
            order = np.argsort(found.cosine[:, column])
            assert np.diff(found.percentile[order, column])[0] >= 0


@pytest.mark.parametrize("spelled", ["{}", "{}."])
def test_a_member_typed_anew_ranks_as_it_ranks_among_the_items(llama, placed, spelled):
    store, study = placed
    members = [int(np.flatnonzero(column)[0]) for column in study.members.T]
    texts = [spelled.format(study.items.texts()[row]) for row in members]
    plain = [study.items.texts()[row] for row in members]
    raw = states_of(store, study).prompt_states(1, "last").astype(np.float64)
    known = ((raw - raw.mean(0)) / raw.std(0))[study.plan.rows]
    close = closeness(known, study.members, study.labels.group)
    found = land(store, study, llama, plain, 1, "last", "standardised")
    np.testing.assert_allclose(found.cosine, close[members], atol=1e-4)
    share = (close[None] < close[members][:, None]).mean(axis=1)
    np.testing.assert_allclose(found.percentile, share, atol=2 / len(close))
    with_itself = closeness_in_sample(known, study.members)[members, range(10)]
    assert (with_itself > close[members, range(10)] + 0.02).all()
    # Another spelling is the same text; its state is a new one, the centres are not.
    again = place_sentence(store, study, llama, texts[0], "last", "standardised")
    row = study.items.texts()[members[0]]
    own = land(store, study, llama, [texts[0]], 1, "last", "standardised")
    np.testing.assert_allclose(own.cosine[0], again.cosine[1 - EMBEDDING], atol=1e-4)
    rest = study.members[:, 0] & (np.array(study.items.texts()) != row)
    state = normalised(((again.states[1 - EMBEDDING] - raw.mean(0)) / raw.std(0))[None])[0]
    centre = normalised(known[rest].mean(axis=0)[None])[0]
    assert again.cosine[1 - EMBEDDING, 0] == pytest.approx(state @ centre, abs=1e-4)
    bands = sentence_bands(store, study, again, 1, "last", "standardised")
    assert bands[0][0].value == pytest.approx(state @ centre, abs=1e-4)


def test_a_centre_without_members_has_neither_cosine_nor_percentile(llama, tmp_path_factory):
    rows = balanced_rows(foundations=("care-harm", "loyalty-betrayal"))
    store, study = read_by(llama, tmp_path_factory, rows)
    found = land(store, study, llama, TEXTS, 1, "mean", "standardised")
    empty = ~study.members.any(axis=0)
    assert empty.sum() == 6
    assert np.isnan(found.cosine[:, empty]).all()
    assert np.isnan(found.percentile[:, empty]).all()
    assert np.isfinite(found.cosine[:, ~empty]).all()


def test_odd_texts_land_and_items_that_were_not_read_are_said_so(llama, placed, store):
    kept, study = placed
    found = land(kept, study, llama, ["", "\x01", "word " * 900, "😀"], 1, "mean", "standardised")
    assert np.isfinite(found.cosine).all()
    with pytest.raises(CoreError, match="has not read"):
        land(store, study, llama, TEXTS, 1, "mean", "standardised")


def test_another_model_is_refused(placed, tiny_gpt2_folder, tmp_path_factory):
    store, study = placed
    with pytest.raises(CoreError):
        land(store, study, opened(tiny_gpt2_folder, tmp_path_factory), TEXTS, 1, "mean", "centred")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Help him.", []),
        (" wrong.\n\nHe said “no.” Then he left", ["wrong.", "He said “no.", "Then he left"]),
        ("帮助他。不要走！", ["帮助他。", "不要走！"]),
        ("It cost 3.50 in all! ... ?", []),
        ("One. " * 40, ["One."] * MOST_SENTENCES),
    ],
)
def test_a_text_is_read_whole_and_by_its_sentences_if_it_has_more_than_one(text, sentences):
    parts = parts_of(["Plain."], [text])
    assert parts[0] == (False, 1, 0, "Plain.")
    assert parts[1] == (True, 1, 0, text)
    assert [one.text for one in parts[2:]] == sentences
    assert [one.sentence for one in parts[2:]] == list(range(1, len(sentences) + 1))


def test_a_pair_without_words_on_one_side_is_left_out():
    parts = parts_of(["a", "...", "b"], ["c", "d", " "])
    assert [(one.sample, one.text) for one in parts] == [(1, "a"), (1, "c")]


@pytest.mark.parametrize("method", ["pca", "umap", "axes"])
def test_written_texts_lie_where_a_sentence_of_ones_own_would(llama, placed, method):
    store, study = placed
    spec = ViewSpec(1, method=method, x=AXES[0], y=AXES[-1])
    found = land(store, study, llama, TEXTS, 1, "mean", "standardised")
    places = landed_places(store, study, found, spec)
    for place, text in zip(places, TEXTS, strict=True):
        alone = place_sentence(store, study, llama, text, "mean", "standardised")
        np.testing.assert_allclose(place, place_on(store, study, alone, spec), atol=1e-3)
    if method == "axes":
        np.testing.assert_allclose(places[:, 1], axis_values(spec.y, found.cosine), atol=1e-6)
    parts = parts_of(TEXTS[:1], TEXTS[1:])
    table = landed_table(parts, places)
    assert table["written"].tolist() == ["plain", "steered"]
    assert table["text"].tolist() == list(TEXTS)
    assert len(landed_table(parts, np.array([[0.0, np.nan], [1.0, 2.0]]))) == 1
