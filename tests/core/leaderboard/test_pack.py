"""Packs: what travels, what opens without the model, and what is refused."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.__main__ import main
from core.activations import sentence_embedding
from core.activations.prompts import ReadSpec
from core.activations.study import open_study, states_of
from core.dataset import sets
from core.diagnosis import diagnosis as measuring
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import BASELINES, four_tests
from core.diagnosis.receipt import receipt
from core.leaderboard import pack, pack_file
from core.leaderboard.pack_file import PackError, open_pack
from core.maps.jobs import layouts
from core.maps.projection import LayoutSpec
from core.models.card import describe
from core.models.open_models import ModelError, ModelSpec, open_model
from core.runtime.store import Store
from tests.core.leaderboard.manysets import FEW, diagnosed

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tiny_llama_folder):
    """Return the store of a diagnosed and drawn tiny model, its study, and its pack."""
    root = tmp_path_factory.mktemp("packing")
    desk, study, copy = diagnosed(root, tiny_llama_folder)
    desk.make(layouts(desk.work, study, "mean", "standardised", LayoutSpec()))
    path = root / "tiny.moralscope"
    pack.pack(desk.work.store, study, copy, path)
    return desk.work.store, study, path


def opened(path, store):
    """Return the study of an opened pack."""
    found = pack.unpack(store, path)
    items = sets.open_set(store, found.set_name)
    return open_study(items, describe(found.spec, store), ReadSpec())


def rewritten(path, target, change, *, compression=zipfile.ZIP_STORED):
    """Copy a pack; ``change`` gets its files as a dict of bytes."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target


def change_manifest(**facts):
    def change(files):
        manifest = json.loads(files["manifest.json"]) | facts
        files["manifest.json"] = json.dumps(manifest).encode()

    return change


# What travels ----------------------------------------------------------------------------------


def test_an_opened_pack_holds_the_same_states_figures_and_receipt(packed, tmp_path):
    store, study, path = packed
    here = Store(tmp_path)
    other = opened(path, here)
    for layer in study.plan.layers:
        np.testing.assert_array_equal(
            states_of(here, other).prompt_states(layer, "mean"),
            states_of(store, study).prompt_states(layer, "mean"),
        )
    own, found = four_tests(store, study, FEW).open(), four_tests(here, other, FEW).open()
    copy = open_study(other.items, describe(other.card.spec.untrained(), here), other.plan.spec)
    assert four_tests(here, copy, FEW).open() is not None
    assert receipt(found)["figures"] == receipt(own)["figures"]
    assert receipt(found)["model"]["identity"] == study.card.identity
    assert other.items.provenance == study.items.provenance


def test_a_pack_keeps_the_controls_it_came_with(packed, tmp_path, monkeypatch):
    store, study, old = packed
    monkeypatch.setattr(measuring, "installed", lambda: True)
    here = Store(tmp_path / "without")
    other = opened(old, here)
    assert "sentence" not in four_tests(here, other, FEW).open().baselines
    monkeypatch.setattr(
        sentence_embedding, "embed", lambda prompts, _: np.eye(len(prompts), 8, dtype="f4")
    )
    whole = Store(tmp_path / "whole")
    shutil.copytree(store.root, whole.root, dirs_exist_ok=True)
    own = four_tests(whole, study, FEW).get()
    pack.pack(whole, study, None, tmp_path / "new.moralscope")
    monkeypatch.setattr(measuring, "installed", lambda: False)
    there = Store(tmp_path / "with")
    found = four_tests(there, opened(tmp_path / "new.moralscope", there), FEW).open()
    assert list(found.baselines) == list(BASELINES)
    assert receipt(found)["figures"] == receipt(own)["figures"]


def test_the_same_study_gives_the_same_bytes(packed, tmp_path):
    store, study, path = packed
    copy = open_study(study.items, describe(study.card.spec.untrained(), store), study.plan.spec)
    pack.pack(store, study, copy, tmp_path / "again.moralscope")
    assert (tmp_path / "again.moralscope").read_bytes() == path.read_bytes()


def test_no_path_of_the_machine_travels(packed, tiny_llama_folder):
    _, _, path = packed
    assert str(tiny_llama_folder).encode() not in open_pack_manifest(path)


def open_pack_manifest(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("manifest.json")


def test_map_and_diagnosis_come_from_the_pack_and_no_model_package_is_loaded(packed, tmp_path):
    _, _, path = packed
    code = f"""
import sys
from pathlib import Path
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset import sets
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.verdicts import scorecard
from core.leaderboard import pack
from core.maps import plots, view
from core.models.card import describe
from core.runtime.store import Store
store = Store(Path({str(tmp_path / "fresh")!r}))
found = pack.unpack(store, Path({str(path)!r}))
items = sets.open_set(store, found.set_name)
card = describe(found.spec, store)
study = open_study(items, card, ReadSpec())
copy = open_study(items, describe(found.spec.untrained(), store), ReadSpec())
spec = DiagnosisSpec(draws=20, shuffles=20)
scores = scorecard(*(four_tests(store, one, spec).open() for one in (study, copy)))
look = view.ViewSpec(layer=2)
seen = view.layer_reading(store, study, look)
facts = view.facts(items, seen)
pictures = view.human_picture(store, items, look), view.model_picture(store, study, look, seen)
drawn = [
    plots.map_figure(one, view.colouring(items, "foundation", seen), items.pole,
        plots.hover_texts(facts)) for one in pictures
]
print(len(scores), all(one.data for one in drawn), len(facts))
print(sorted({{"torch", "transformers", "nnsight"}} & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["3 True 60", "[]"]


def test_a_packed_model_runs_no_new_text(packed, tmp_path):
    store = Store(tmp_path)
    study = opened(packed[2], store)
    assert study.card.packed
    with pytest.raises(ModelError, match="packed model: cannot run new text"):
        open_model(study.card, store)


def test_a_packed_model_stands_on_the_leaderboard(packed, tmp_path):
    store = Store(tmp_path)
    study = opened(packed[2], store)
    board = leaderboard_rows.leaderboard(store, study.items.digest)
    assert set(board["name"]) == {"tiny-llama, packed", "tiny-llama, untrained copy, packed"}


def test_a_pack_leaves_what_the_machine_read_itself_alone(packed):
    store, study, path = packed
    before = {one.digest: one.made for one in store.artefacts() if one.kind != "pack"}
    other = opened(path, store)
    after = {one.digest: one.made for one in store.artefacts()}
    assert before.items() <= after.items()
    assert other.card.identity.startswith("pack:") != study.card.identity.startswith("pack:")
    assert not pack.unpack(store, path).new


# Refusals --------------------------------------------------------------------------------------


def test_a_changed_byte_is_noticed(packed, tmp_path):
    def change(files):
        name = next(name for name in files if name.endswith(".safetensors"))
        files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])

    wrong = rewritten(packed[2], tmp_path / "p.moralscope", change)
    with pytest.raises(PackError, match="has the wrong hash: it was damaged or changed"):
        pack.unpack(Store(tmp_path / "s"), wrong)
    assert not Store(tmp_path / "s").artefacts()


def test_a_pack_from_a_newer_version_says_so(packed, tmp_path):
    wrong = rewritten(packed[2], tmp_path / "p", change_manifest(format=99))
    with pytest.raises(PackError, match=r"newer Moralscope \(format 99, this one reads 1\)"):
        pack.unpack(Store(tmp_path / "s"), wrong)


@pytest.mark.parametrize(
    "name", ["../../evil.json", "/etc/evil.json", "acts/x/evil.json", f"acts/{'0' * 64}/evil.pkl"]
)
def test_a_name_that_leads_elsewhere_is_refused(packed, tmp_path, name):
    wrong = rewritten(packed[2], tmp_path / "p", lambda files: files.update({name: b"{}"}))
    with pytest.raises(PackError, match="which belongs in no pack"):
        open_pack(wrong)


def test_a_compressed_bomb_is_refused_before_it_is_read(tmp_path):
    bomb = tmp_path / "bomb"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"0" * 10**8)
    with pytest.raises(PackError, match="compressed or encrypted"):
        open_pack(bomb)


def test_sizes_that_the_file_cannot_hold_are_refused(packed, tmp_path):
    """A central directory may point many entries at the same bytes."""
    data = bytearray(packed[2].read_bytes())
    start = data.index(b"PK\x01\x02")
    data[start + 24 : start + 28] = (2**31).to_bytes(4, "little")
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(PackError, match="more than it can hold"):
        open_pack(tmp_path / "p")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda files: files.pop("manifest.json"), "has no manifest.json"),
        (lambda files: files.update({"manifest.json": b"{"}), "is no JSON"),
        (change_manifest(pack="else"), "does not say that it is a pack"),
        (lambda files: files.pop(sorted(files)[0]), "manifest and content differ"),
    ],
)
def test_what_is_no_pack_is_refused(packed, tmp_path, change, reason):
    with pytest.raises(PackError, match=reason):
        pack.unpack(Store(tmp_path / "s"), rewritten(packed[2], tmp_path / "p", change))


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    (tmp_path / "p").write_text("hello")
    with pytest.raises(PackError, match="it is no pack, or was cut off"):
        open_pack(tmp_path / "p")
    with pytest.raises(PackError, match="cannot be read: No such file"):
        open_pack(tmp_path / "nothing")


def test_items_that_are_not_those_of_the_manifest_are_refused(packed, tmp_path):
    def change(files):
        manifest = json.loads(files["manifest.json"])
        name = next(name for name in files if name.endswith("/table.parquet"))
        import io

        import pyarrow.parquet as pq

        whole = pq.read_table(io.BytesIO(files[name]))
        fewer = io.BytesIO()
        pq.write_table(whole.slice(0, 20), fewer)  # its digest is told, not computed
        files[name] = fewer.getvalue()
        manifest["files"][name] = {
            "bytes": len(files[name]),
            "sha256": hashlib.sha256(files[name]).hexdigest(),
        }
        files["manifest.json"] = json.dumps(manifest).encode()

    with pytest.raises(PackError, match="its items are not those that its manifest names"):
        pack.unpack(Store(tmp_path / "s"), rewritten(packed[2], tmp_path / "p", change))
    assert not sets.stored_sets(Store(tmp_path / "s"))


@pytest.mark.parametrize(
    "licence", ["CC BY-NC-ND 4.0", "All rights reserved", "proprietary", "Research use only"]
)
def test_a_licence_that_forbids_passing_on_is_said_so(packed, licence):
    from dataclasses import replace

    items = packed[1].items
    locked = replace(items, provenance=replace(items.provenance, licence=licence))
    with pytest.raises(PackError, match="does not let its texts be passed on"):
        pack.check_licence(locked)


def test_an_unstated_licence_is_told_and_a_stated_one_travels(packed):
    from dataclasses import replace

    items = packed[1].items
    assert "publish it only if they are yours" in pack.check_licence(items)[0]
    stated = replace(items, provenance=replace(items.provenance, licence="CC BY-SA 4.0"))
    assert pack.check_licence(stated)[0].endswith("CC BY-SA 4.0. It travels with the pack.")


def test_what_was_not_read_cannot_be_packed(packed, tmp_path, gpt2_spec):
    store, study, _ = packed
    unread = open_study(study.items, describe(gpt2_spec, store), ReadSpec())
    with pytest.raises(PackError, match="has not read"):
        pack.pack(store, unread, None, tmp_path / "p")


def test_a_pack_that_was_not_opened_is_named_with_the_way_to_open_it(store):
    spec = ModelSpec.parse("pack:gemma.0123456789ab")
    assert str(spec) == "pack:gemma.0123456789ab"
    with pytest.raises(ModelError, match="has not been opened here"):
        describe(spec, store)


def test_a_pack_without_an_untrained_copy_says_so(packed, tmp_path):
    store, study, _ = packed
    pack.pack(store, study, None, tmp_path / "p")
    here = Store(tmp_path / "s")
    found = pack.unpack(here, tmp_path / "p")
    with pytest.raises(ModelError, match="holds no untrained copy"):
        describe(found.spec.untrained(), here)


def test_libraries_that_were_updated_since_ask_for_the_file_again(packed, tmp_path, monkeypatch):
    from core.models import card

    here = Store(tmp_path)
    found = pack.unpack(here, packed[2])
    monkeypatch.setattr(card, "library_version", lambda _: "99")
    with pytest.raises(ModelError, match="Libraries were updated since"):
        describe(found.spec, here)


# Commands --------------------------------------------------------------------------------------


def test_the_commands_pack_and_open(packed, tmp_path, monkeypatch, capsys):
    store, study, _ = packed
    path = tmp_path / "made.moralscope"
    monkeypatch.setenv("MORALSCOPE_CACHE", str(store.root))
    words = ["pack", study.card.spec, "--items", study.items.digest[:12], "--out", path]
    assert main([str(word) for word in words]) == 0
    assert "is not stated" in capsys.readouterr().out
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "fresh"))
    assert main(["unpack", str(path)]) == 0
    out = capsys.readouterr().out
    assert "made.moralscope is open." in out
    told = next(line for line in out.splitlines() if line.startswith("Look at it with"))
    *_, model, _, name = told.split()
    few = ["--draws", "20", "--shuffles", "20"]
    assert main(["diagnose", model, "--items", name, *few]) == 0
    assert "All of this was measured before" in capsys.readouterr().out
    assert main(["unpack", str(path)]) == 0
    assert "was open already" in capsys.readouterr().out


def test_a_pack_is_written_whole_or_not_at_all(packed, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pack_file.shutil, "copyfileobj", full)
    store, study, _ = packed
    with pytest.raises(PackError, match="cannot be written: No space left"):
        pack.pack(store, study, None, tmp_path / "p")
    assert not list(tmp_path.iterdir())
