"""Packs as evidence: unverified, verified, and changed in states or figures."""

import hashlib
import io
import json
import shutil
import zipfile

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from core.__main__ import main
from core.activations.jobs import reading
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.claims import verify
from core.claims.claim import claim_of
from core.claims.evidence import Evidence
from core.claims.judge import OPEN, REFUTED
from core.cli.desk import ReadRequest, study_of
from core.diagnosis.jobs import diagnosis
from core.leaderboard import pack
from core.models.card import describe
from core.models.open_models import ModelError, ModelSpec
from tests.core.leaderboard.manysets import FEW, desk_at, diagnosed

#: What no model of random weights reaches: decided by any pack that may decide.
HIGH = claim_of({"name": "High", "test": "gradient", "direction": "above", "threshold": 0.99})


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tiny_llama_folder):
    """Return the pack of a diagnosed tiny model, and the model."""
    root = tmp_path_factory.mktemp("packing")
    desk, study, copy = diagnosed(root, tiny_llama_folder)
    path = root / "tiny.moralscope"
    pack.pack(desk.work.store, study, copy, path)
    return path, study.card.spec


def forged(path, target, suffix, change):
    """Copy a pack, its files of an ending changed and their hashes set right."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    for name in files:
        if name.endswith(suffix):
            files[name] = change(files[name])
            manifest["files"][name] = {
                "bytes": len(files[name]),
                "sha256": hashlib.sha256(files[name]).hexdigest(),
            }
    files["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def stretched(data):
    """Return an array's file with every number half as large again."""
    start = 8 + int.from_bytes(data[:8], "little")
    return data[:start] + (np.frombuffer(data[start:], "<f4") * np.float32(1.5)).tobytes()


def raised(data):
    """Return a table of figures, every figure and interval .3 higher."""
    table = pq.read_table(io.BytesIO(data))
    for name in ("value", "low", "high"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.add(table[name], 0.3))
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def opened(path, root):
    """Return a desk that opened a pack, the packed study, and the name of the set."""
    desk = desk_at(root)
    found = pack.unpack(desk.work.store, path)
    items = desk.work.items(found.set_name)
    return desk, open_study(items, describe(found.spec, desk.work.store), ReadSpec()), items.digest


def heard(desk, items):
    return Evidence(desk.work, items).hear(HIGH)


def test_an_unverified_pack_is_shown_and_decides_nothing(packed, tmp_path):
    desk, _, items = opened(packed[0], tmp_path)
    verdict = heard(desk, items)
    assert verdict.word == OPEN
    assert "no text was read again on this machine" in verdict.why
    assert verdict.models[0].witness.mark == "pack, unverified"
    assert not np.isnan(verdict.models[0].figure.low)


def test_a_verified_pack_decides(packed, tmp_path):
    path, model = packed
    desk, study, items = opened(path, tmp_path)
    assert verify.twin(desk.work, study, []) is None
    assert Evidence(desk.work, items).packs() == [study.card.name]
    (made,) = Evidence(desk.work, items).packs([model])
    found = desk.make(made)
    assert (found.problem, found.texts) == ("", 6)
    assert found.difference < 1e-4
    assert found.figures < 1e-6
    verdict = heard(desk, items)
    assert verdict.word == REFUTED
    assert verdict.models[0].witness.mark.startswith("pack, 6 texts read again")
    assert Evidence(desk.work, items).packs([model]) == []


@pytest.mark.parametrize(
    ("suffix", "change", "said"),
    [
        (".safetensors", stretched, "its states lie up to 0.5 times their length"),
        ("figures.parquet", raised, "its figures lie up to 0.3 from what its own states give"),
    ],
)
def test_a_pack_whose_hashes_fit_but_not_its_content_is_refused(
    packed, tmp_path, suffix, change, said
):
    path, model = packed
    other = forged(path, tmp_path / "forged.moralscope", suffix, change)
    desk, _, items = opened(other, tmp_path / "cache")
    (made,) = Evidence(desk.work, items).packs([model])
    assert said in desk.make(made).problem
    verdict = heard(desk, items)
    assert verdict.word == OPEN
    assert said in verdict.why
    assert verdict.models[0].witness.mark == "pack, refused"


def test_over_models_an_unverified_pack_is_none_and_a_verified_one_is_its_model(packed, tmp_path):
    path, model = packed
    desk, _, items = opened(path, tmp_path)
    size = {"name": "s", "test": "gradient", "direction": "within", "threshold": 0.3}
    claim = claim_of({**size, "effect_of": "architecture"})

    def counted():
        why = Evidence(desk.work, items).hear(claim).why
        return why.partition(" To show")[0]

    assert counted() == "Too few models: 0 of at least 5."
    (made,) = Evidence(desk.work, items).packs([model])
    desk.make(made)
    assert counted() == "Too few models: 1 of at least 5."
    study = study_of(desk, ReadRequest(model, items, ReadSpec()))
    desk.make(reading(desk.work, study))
    desk.make(diagnosis(desk.work, study, FEW))
    assert counted() == "Too few models: 1 of at least 5."
    claim = claim_of({**size, "effect_of": "architecture", "models": {"training": "base"}})
    assert counted() == "Too few models: 0 of at least 5."


def test_another_model_cannot_vouch_for_a_pack(packed, tmp_path, tiny_gpt2_folder):
    desk, study, items = opened(packed[0], tmp_path)
    other = ModelSpec("folder", str(tiny_gpt2_folder), device="cpu")
    assert Evidence(desk.work, items).packs([other]) == [study.card.name]
    with pytest.raises(ModelError, match="is not the model that tiny-llama, packed was made of"):
        verify.check(desk.work, study, FEW, other).make(lambda *_: None)


def test_the_command_verifies_first_and_says_what_it_found(packed, tmp_path, monkeypatch, capsys):
    path, model = packed
    desk, _, items = opened(path, tmp_path)
    monkeypatch.setenv("MORALSCOPE_CACHE", str(desk.work.store.root))
    assert main(["claim", "paper", "--items", items, "--verify"]) == 0
    told = capsys.readouterr()
    assert "its model is not on this machine" in told.err
    assert "pack, unverified" in told.out
    assert main(["claim", "paper", "--items", items, "--verify", str(model)]) == 0
    told = capsys.readouterr()
    assert "Reading 6 texts of tiny-llama, packed again: as packed" in told.err
    assert "pack, 6 texts read again" in told.out


def test_a_pack_that_was_deleted_is_told(packed, tmp_path):
    desk, _, items = opened(packed[0], tmp_path)
    shutil.rmtree(desk.work.store.root / "pack")
    verdict = Evidence(desk.work, items).hear(HIGH)
    assert verdict.word == OPEN
    assert "has not been opened here" in verdict.why
