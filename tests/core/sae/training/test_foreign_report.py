"""Dictionaries from elsewhere are judged as those trained here: same documents and controls."""

import json

import numpy as np
import pytest

from core.__main__ import main
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import ItemSpec, load_or_read
from core.models.open_models import describe, open_model
from core.sae.dictionary import DictionaryError
from core.sae.files import save_folder
from core.sae.training import foreign_report
from core.sae.training.corpora import CorpusError, CorpusSpec, Documents
from core.sae.training.foreign_report import kept_report, measure_report, some_of
from core.sae.training.spec import TrainSpec
from core.sae.training.trained import TrainPlan, load_or_train
from tests.core.dataset.actiontable import write_actions
from tests.core.sae.saesets import made_dictionary

TOKENS = 3_000


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch):
    monkeypatch.setattr(foreign_report, "CONTROL_TOKENS", TOKENS)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_actions(tmp_path_factory.mktemp("tables") / "actions.csv", 60)


@pytest.fixture
def study(store, llama_spec, table):
    items = load_or_read(store, ItemSpec("file", table))
    return open_study(items, describe(llama_spec, store), ReadSpec())


@pytest.fixture
def model(store, study):
    return open_model(study.card, store)


def worth(store, study, model, dictionary):
    """Return what a dictionary is worth, judged by an open model."""
    return kept_report(
        store, study, dictionary, lambda _: measure_report(store, study, dictionary, model)
    )


def test_the_same_weights_get_the_report_they_got_where_they_were_trained(store, study, model):
    spec = TrainSpec(width=64, k=4, batch=256, epochs=1, dead_after=2_000, aux_k=8)
    kept = load_or_train(store, TrainPlan(study, 1, CorpusSpec(items=TOKENS), spec), model, [])
    found = worth(store, study, model, kept.shelved.load()).get()
    own = kept.report.json()
    assert own["fits"].pop("training")  # of one from elsewhere nobody knows what trained it
    assert found.report.json() == own
    assert found.corpus == kept.corpus


def test_a_report_is_kept_and_belongs_to_weights_and_set(store, study, model, table, tmp_path):
    made = made_dictionary()
    assert kept_report(store, study, made, None).open() is None
    found = worth(store, study, model, made).get()
    again = worth(store, study, None, made).get()  # asks no model
    assert again.report.json() == found.report.json()
    assert kept_report(store, study, made_dictionary(seed=1), None).open() is None
    other = load_or_read(store, ItemSpec("file", write_actions(tmp_path / "b.csv", 50)))
    elsewhere = open_study(other, study.card, ReadSpec())
    assert kept_report(store, elsewhere, made, None).open() is None


def test_a_damaged_report_is_measured_again(store, study, model):
    made = made_dictionary()
    kept = worth(store, study, model, made)
    before = kept.get().report.json()
    store.folder(kept.kind, kept.key).joinpath("report.json").write_text("{}")
    assert kept_report(store, study, made, None).open() is None
    assert kept.get().report.json() == before


def test_what_cannot_be_judged_is_refused(store, study, model):
    with pytest.raises(DictionaryError, match="8 coordinates apart"):
        measure_report(store, study, made_dictionary(d_model=8), model)
    items = study.items
    alone = open_study(items.take(items.split == "train"), study.card, ReadSpec())
    with pytest.raises(CorpusError, match="both are needed"):
        measure_report(store, alone, made_dictionary(), model)


def test_of_many_documents_a_random_part_judges():
    rows = tuple((1, *range(size)) for size in np.random.default_rng(0).integers(2, 20, 500))
    many = Documents(rows, ("items",) * 500)
    part = some_of(many, 1_000)
    assert 1_000 <= part.positions < 1_020
    assert part.digest == some_of(many, 1_000).digest
    assert part.tokens != many.tokens[: len(part.tokens)]
    assert some_of(many, many.positions) is many


def test_the_command_measures_once_lists_and_says_what_it_does_not_know(
    tmp_path, monkeypatch, capsys, tiny_llama_folder, table
):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    name = f"folder:{tiny_llama_folder}?device=cpu"
    folder = save_folder(made_dictionary(), tmp_path / "made")
    words = ["dictionary", "report", name, f"folder:{folder}", "--items", str(table)]
    assert main(words) == 0
    told = capsys.readouterr().out
    for fact in ("control: random directions", "not known", "latents are on at none", "zero"):
        assert fact in told
    assert main(["dictionary", "list", name]) == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[1:4] == ["1", "64", "brought"]
    assert main(["dictionary", "report", name, line[0], "--items", str(table), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["tokens"] > 0
    assert "judging" not in err  # kept
    assert main(["dictionary", "report", name, "folder:/nowhere"]) == 2
    assert "There is no /nowhere" in capsys.readouterr().err
