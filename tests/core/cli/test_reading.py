"""The commands ``describe``, ``read`` and ``maps``: what a model is, reads, and looks like."""

import re

from core.maps import projection
from core.models.open_models import Shelf
from tests.core.cli.commands import no_weights, value_of
from tests.core.leaderboard.manysets import ROWS


def test_a_model_is_described_without_its_weights(run, model, monkeypatch):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("describe", model)
    assert (status, err) == (0, "")
    assert value_of(out, "architecture") == "LlamaForCausalLM"
    assert value_of(out, "layers").startswith("3 ")
    assert value_of(out, "width") == "32"
    assert value_of(out, "identity").startswith("folder:")
    assert "free: fits" in value_of(out, "memory")
    assert "\nstates " not in out


def test_a_model_that_has_read_is_described_with_the_proof_of_its_states(run, model, actions):
    run("read", model, "--items", actions)
    _, out, _ = run("describe", model)
    assert value_of(out, "states").startswith("checked against transformers: ")


def test_reading_a_second_time_costs_nothing_and_says_so(run, model, actions, monkeypatch):
    status, out, err = run("read", model, "--items", actions)
    assert (status, err) == (0, "")
    assert f"has read {ROWS} texts in" in out
    assert value_of(out, "poolings") == "mean, last"
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, _ = run("read", model, "--items", actions)
    assert status == 0
    assert "before: nothing to do" in out


def test_preset_template_and_control_are_readings_of_their_own(run, model, actions):
    run("read", model, "--items", actions)
    for words in (["--preset", "paper"], ["--template", "{action} is"], ["--untrained", "0"]):
        _, out, _ = run("read", model, "--items", actions, *words)
        assert "nothing to do" not in out
    assert "untrained copy" in value_of(out, "model")


def test_maps_tell_the_trust_of_every_layer_beside_chance(run, model, actions, monkeypatch):
    status, out, err = run("maps", model, "--items", actions, "--dims", "3")
    assert (status, err) == (0, "")
    assert value_of(out, "maps") == "3-D PCA, pooling mean, standardised"
    rows = [line.split() for line in out.splitlines() if line.strip()]
    table = {row[0]: row[1:] for row in rows if row[0] in ("emb", "0", "1", "2")}
    assert list(table) == ["emb", "0", "1", "2"]
    for trust, null, kept, chance, shown in table.values():
        assert (null, chance) == ("0.500", f"{10 / (ROWS - 1):.3f}")
        assert 0.5 < float(trust) <= 1
        assert float(chance) < float(kept) <= 1
        assert 0 < float(shown) < 1
    monkeypatch.setattr(Shelf, "get", no_weights)
    assert run("maps", model, "--items", actions, "--dims", "3")[1] == out


def test_maps_judged_by_a_sample_say_so(run, model, actions, monkeypatch):
    whole = run("maps", model, "--items", actions)[1]
    assert "sampled" not in whole
    monkeypatch.setattr(projection, "JUDGED_WHOLE", ROWS - 1)
    monkeypatch.setattr(projection, "SAMPLED", ROWS // 2)
    out = run("maps", model, "--items", actions)[1]
    assert f"of {ROWS // 2} sampled points, ranked among all, with 95 % intervals" in out
    assert re.search(r"^emb +0\.\d{3} \[0\.\d{3}, [01]\.\d{3}\] +0\.500", out, re.MULTILINE)


def test_a_layer_without_a_picture_says_why(run, model, actions):
    _, out, _ = run("maps", model, "--items", actions, "--pooling", "last")
    assert "At the embedding output the last state is the same for every text" in out
    assert len([line for line in out.splitlines() if line[:2] in ("0 ", "1 ", "2 ")]) == 3
