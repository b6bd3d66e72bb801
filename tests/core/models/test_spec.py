from pathlib import Path

import pytest

from core import CoreError
from core.models.open_models import KNOWN, ModelSpec, SpecError
from core.models.spec import ModelError, clear_library_errors
from core.runtime.progress import Cancelled


@pytest.mark.parametrize(
    "text",
    [
        "packaged",
        "packaged?untrained=0",
        "hub:google/gemma-3-270m@main",
        "hub:Qwen/Qwen3-0.6B@refs/pr/1?dtype=bfloat16&device=cuda&spread=1",
        "folder:/models/my model?untrained=12&dtype=float32&device=cpu",
        "gguf:/models/x.gguf",
    ],
)
def test_a_spec_comes_back_from_its_text(text):
    spec = ModelSpec.parse(text)
    assert str(spec) == text
    assert ModelSpec.parse(str(spec)) == spec


@pytest.mark.parametrize("path", ["/a?b&c=1", "/50%25 off", "/a#b@c:d", "/ü/日本"])
def test_any_path_survives_the_text_form(path):
    spec = ModelSpec("folder", path, untrained_seed=3)
    assert ModelSpec.parse(str(spec)) == spec


def test_a_relative_path_becomes_absolute():
    assert ModelSpec.parse("folder:models/x").location == str(Path.cwd() / "models/x")


def test_a_hub_model_without_revision_means_main():
    assert ModelSpec.parse("hub:a/b") == ModelSpec("hub", "a/b", "main")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Cannot read the model ''. Forms: packaged"),
        ("google/gemma-3-270m", "Forms: packaged"),
        ("packaged:x", "Forms: packaged"),
        ("hub:", "is not a hub id"),
        ("hub:../../etc", "is not a hub id"),
        ("hub:a/b@x y", "no branch, tag or commit"),
        ("folder:", "absolute path of the folder"),
        ("packaged?dtype=float16", "largest number is 65,504"),
        ("packaged?dtype=int8", "Unknown dtype 'int8'. Possible: auto, float32, bfloat16"),
        ("packaged?device=tpu", "Unknown device 'tpu'. Possible: auto, cpu"),
        ("packaged?untrained=-1", "whole number"),
        ("packaged?untrained=99999999999999999999", "use a number from 0 up"),
        ("packaged?spread=1&device=cpu", "needs device auto or cuda"),
        ("packaged?spread=yes", "spread is 0 or 1"),
        ("packaged?seed=1", "Unknown option seed"),
    ],
)
def test_a_spec_that_cannot_mean_anything_is_refused_with_the_reason(text, reason):
    with pytest.raises(SpecError) as refusal:
        ModelSpec.parse(text)
    assert reason in str(refusal.value)


def test_labels_are_short():
    assert ModelSpec("hub", "Qwen/Qwen3-0.6B").label == "Qwen3-0.6B"
    assert ModelSpec("folder", "/a/b/tuned").untrained(2).label == "tuned, untrained copy, seed 2"
    assert ModelSpec(dtype="bfloat16").label == "gemma-3-270m (packaged), bfloat16"


def test_the_picker_offers_the_packaged_model_first_and_each_model_once():
    assert KNOWN[0].spec == ModelSpec()
    assert len({entry.spec for entry in KNOWN}) == len(KNOWN)
    assert all(entry.note for entry in KNOWN)


class PanicException(BaseException):
    pass


@pytest.mark.parametrize("fault", [Exception("a\n b"), TypeError("a  b"), PanicException("a b")])
def test_whatever_a_library_raises_over_files_becomes_a_sentence(fault):
    with pytest.raises(ModelError, match=r"^It cannot be read: a b\. Copy it again\.$"):
        with clear_library_errors("It cannot be read", "Copy it again."):
            raise fault


@pytest.mark.parametrize("fault", [Cancelled(), KeyboardInterrupt(), MemoryError(), CoreError("x")])
def test_what_is_no_fault_of_a_library_passes_through(fault):
    with pytest.raises(type(fault)) as caught:
        with clear_library_errors("It cannot be read"):
            raise fault
    assert caught.value is fault
