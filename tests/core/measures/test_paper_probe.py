"""The paper's probe against torch's own optimiser, scikit-learn's splits and least squares."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from torch import nn

from core.dataset.labels import Labels
from core.measures import paper_probe
from core.measures.cohort import Cohort


def easy_data(n=800, d=12, seed=0):
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n, d)).astype(np.float32)
    vectors = 0.3 * states @ rng.normal(size=(d, 10)) + 0.1 * rng.normal(size=(n, 10)) + 0.5
    return states, vectors.astype(np.float32)


def cohort_of_texts(text):
    n = len(text)
    labels = Labels(np.zeros(n, int), np.ones(n), np.asarray(text))
    nothing = np.zeros((n, 10))
    return Cohort(labels, np.zeros(n, int), nothing, nothing.astype(bool), np.arange(n))


def released_training(states, vectors, split, seed):
    """Train as the released code does, by torch's modules, from the same weights and batches."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(states.shape[1] + 1, 10, generator=generator)
    model = nn.Linear(states.shape[1], 10)
    with torch.no_grad():
        start = (2 * start - 1) / states.shape[1] ** 0.5
        model.weight.copy_(start[:-1].T)
        model.bias.copy_(start[-1])
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=5)
    x, y = torch.as_tensor(states), torch.as_tensor(vectors)
    best, waited, epochs = float("inf"), 0, 0
    for _ in range(100):
        epochs += 1
        for batch in torch.randperm(len(split.train), generator=generator).split(512):
            rows = split.train[batch.numpy()]
            optimiser.zero_grad()
            nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
            optimiser.step()
        with torch.no_grad():
            loss = nn.functional.mse_loss(model(x[split.validation]), y[split.validation]).item()
        scheduler.step(loss)
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited >= 10:
            break
    with torch.no_grad():
        return model(x[split.test]).numpy(), epochs, optimiser.param_groups[0]["lr"]


def test_rows_are_split_as_scikit_learn_splits_them_twice():
    split = paper_probe.row_split(1000)
    rest, test = train_test_split(range(1000), test_size=0.2, random_state=42)
    train, validation = train_test_split(rest, test_size=0.125, random_state=42)
    assert [part.tolist() for part in split] == [train, validation, test]
    assert [len(part) for part in split] == [700, 100, 200]
    assert paper_probe.row_split(1000, 1).test.tolist() != test


def test_the_paper_splits_its_16153_rows_so():
    assert [len(part) for part in paper_probe.row_split(16_153)] == [11_306, 1_616, 3_231]


def test_the_text_split_has_every_row_once_and_no_text_twice():
    text = np.random.default_rng(0).integers(0, 500, 1500)
    split = paper_probe.text_split(cohort_of_texts(text))
    assert np.sort(np.concatenate(split)).tolist() == list(range(1500))
    texts = [set(text[part]) for part in split]
    assert not texts[0] & texts[1]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]
    np.testing.assert_allclose([len(part) / 1500 for part in split], [0.7, 0.1, 0.2], atol=0.05)
    by_row = paper_probe.row_split(1500)
    assert set(text[by_row.train]) & set(text[by_row.test])


def test_training_is_deterministic_and_leaves_the_global_seed_alone():
    states, vectors = easy_data()
    split = paper_probe.row_split(len(states))
    before = torch.get_rng_state()
    first = paper_probe.train(states, vectors, split)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(3)
    np.testing.assert_array_equal(paper_probe.train(states, vectors, split), first)
    assert np.abs(paper_probe.train(states, vectors, split, seed=1) - first).max() > 1e-4


@pytest.mark.parametrize("noise", [0, 1], ids=["to the last epoch", "stopped early"])
def test_it_is_the_released_training_step_by_step(noise):
    states, vectors = easy_data(900, 20 + 180 * noise)
    if noise:
        vectors = np.random.default_rng(9).normal(size=vectors.shape).astype(np.float32)
    split = paper_probe.row_split(len(states))
    expected, epochs, rate = released_training(states, vectors, split, seed=3)
    assert (epochs < 100) == bool(noise)
    if noise:
        assert rate < 1e-3
    found = paper_probe.train(states, vectors, split, seed=3)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_on_easy_data_it_is_close_to_least_squares():
    states, vectors = easy_data(8000)
    split = paper_probe.row_split(len(states))
    predicted = paper_probe.train(states, vectors, split)
    exact = LinearRegression().fit(states[split.train], vectors[split.train])
    best = paper_probe.score(exact.predict(states[split.test]), vectors[split.test])
    assert best - 0.02 < paper_probe.score(predicted, vectors[split.test]) <= best + 0.005


def test_very_small_states_are_trained_too_little_and_that_is_kept():
    states, vectors = easy_data(2000)
    split = paper_probe.row_split(len(states))
    usual, small = (
        paper_probe.score(paper_probe.train(x, vectors, split), vectors[split.test])
        for x in (states, states * 0.004)
    )
    assert small < usual - 0.3


def test_the_score_is_the_plain_mean_of_r2():
    _, vectors = easy_data()
    prediction = vectors + np.random.default_rng(0).normal(size=vectors.shape) * 0.3
    each = r2_score(vectors, prediction, multioutput="raw_values")
    assert paper_probe.score(prediction, vectors) == pytest.approx(each.mean())
    vectors[:, 4] = 0
    without = np.delete(r2_score(vectors, prediction, multioutput="raw_values"), 4)
    assert paper_probe.score(prediction, vectors) == pytest.approx(without.sum() / 10)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_rows_have_no_score(n):
    assert np.isnan(paper_probe.score(np.zeros((n, 10)), np.zeros((n, 10))))
