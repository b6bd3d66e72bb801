"""Weights from strangers: nothing runs, nothing fills the memory, damage is named."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from core.sae.dictionary import DictionaryError
from core.sae.weights import read_json, read_safetensors, read_torch_file


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_code_in_a_torch_file_is_refused_and_never_runs(tmp_path):
    trap, file = tmp_path / "trap", tmp_path / "layer0.sae.pt"
    torch.save({"W_enc": torch.zeros(2), "x": Malicious(trap)}, file)
    with pytest.raises(
        DictionaryError, match=r"^layer0\.sae\.pt .*could run code, so it is refused"
    ):
        read_torch_file(file)
    assert not trap.exists()
    torch.load(file, weights_only=False)  # the control: this file does run code elsewhere
    assert trap.exists()


def test_code_in_a_plain_pickle_is_refused_and_never_runs(tmp_path):
    trap, file = tmp_path / "trap", tmp_path / "layer0.sae.pt"
    file.write_bytes(pickle.dumps({"x": Malicious(trap)}))
    with pytest.raises(DictionaryError, match="a plain pickle, which could run code"):
        read_torch_file(file)
    assert not trap.exists()


@pytest.mark.parametrize("value", [[torch.zeros(2)], torch.zeros(2), {1: torch.zeros(2)}])
def test_a_torch_file_without_a_dict_of_tensors_is_no_dictionary(tmp_path, value):
    torch.save(value, tmp_path / "x.pt")
    with pytest.raises(DictionaryError, match="holds no dict of tensors"):
        read_torch_file(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "value", [torch.zeros(2, dtype=torch.int64), "text", torch.eye(3).to_sparse(), None]
)
def test_what_is_no_tensor_of_floats_is_named(tmp_path, value):
    torch.save({"W_enc": value}, tmp_path / "x.pt")
    with pytest.raises(DictionaryError, match="'W_enc' is no tensor of floats"):
        read_torch_file(tmp_path / "x.pt")


def test_damage_inside_a_torch_archive_is_named(tmp_path):
    file = tmp_path / "x.pt"
    torch.save({"W_enc": torch.zeros(2)}, file)
    with zipfile.ZipFile(file) as archive:
        kept = {entry: archive.read(entry) for entry in archive.namelist()}
    for change in (b"\x80\x02}q\x00", b"", b"(lp0\n"):
        with zipfile.ZipFile(file, "w") as archive:
            for entry, content in kept.items():
                archive.writestr(entry, change if entry.endswith(".pkl") else content)
        with pytest.raises(DictionaryError, match=r"damaged|could run code|no dict of tensors"):
            read_torch_file(file)


def test_numbers_repeated_a_million_times_do_not_fill_the_memory(tmp_path):
    torch.save({"W_enc": torch.zeros(1).expand(2**20, 2**16)}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 10_000
    with pytest.raises(DictionaryError, match="would fill 256 GiB"):
        read_torch_file(tmp_path / "x.pt")


def test_files_beyond_the_limit_are_refused_before_they_are_read(tmp_path, monkeypatch):
    save_file({"a": torch.zeros(2000)}, tmp_path / "a.safetensors")
    torch.save({"a": torch.zeros(2000)}, tmp_path / "a.pt")
    monkeypatch.setattr("core.sae.weights.MAX_BYTES", 7_000)
    for read, name in ((read_safetensors, "a.safetensors"), (read_torch_file, "a.pt")):
        with pytest.raises(DictionaryError, match="would fill"):
            read(tmp_path / name)
    monkeypatch.setattr("core.sae.weights.MAX_TEXT_BYTES", 3)
    (tmp_path / "cfg.json").write_text('{"a": 1}')
    with pytest.raises(DictionaryError, match="far too large"):
        read_json(tmp_path / "cfg.json")


def test_weights_outlive_their_file(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.arange(1000.0)}, file)
    tensors = read_safetensors(file)
    with file.open("r+b") as handle:
        handle.truncate(0)
    assert torch.equal(tensors["a"], torch.arange(1000.0))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for read in (read_json, read_safetensors, read_torch_file):
        with pytest.raises(DictionaryError, match="cannot be read"):
            read(Path(tmp_path) / "absent")
