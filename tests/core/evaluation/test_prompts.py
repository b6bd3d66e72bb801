"""Prompts: the project's own, a person's file in any layout, what is left out and told."""

import json

import numpy as np
import pytest

from core.evaluation.prompts import MOST_PROMPTS, PromptsError, builtin_prompts, read_prompts

ROWS = [
    {"dimension": "Data Protection", "subcomponent": "Personal data", "prompt": "Where is he?"},
    {"dimension": "Morality", "subcomponent": "", "prompt": "May I lie?"},
]


def written(path, rows):
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows))
    return path


def test_the_builtin_set_has_24_prompts_of_each_of_flames_dimensions():
    found = builtin_prompts()
    assert len(found) == len(set(found.texts)) == 120
    assert set(found.dimensions) == {
        "Fairness",
        "Safety",
        "Morality",
        "Legality",
        "Data protection",
    }
    assert {sum(p.dimension == d for p in found.prompts) for d in found.dimensions} == {24}
    assert not found.problems


def test_half_of_each_dimension_chooses_whatever_the_order():
    found = builtin_prompts()
    half = found.choosing()
    for dimension in found.dimensions:
        rows = [row for row, one in enumerate(found.prompts) if one.dimension == dimension]
        assert half[rows].sum() == 12
    turned = found.take(np.arange(len(found))[::-1])
    assert (turned.choosing() == half[::-1]).all()
    assert (found.choosing(1) != half).any()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_every_layout_gives_the_same_prompts(tmp_path, kind):
    import pandas as pd

    path = tmp_path / f"p.{kind}"
    table = pd.DataFrame(ROWS)
    if kind == "jsonl":
        written(path, ROWS)
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
    found = read_prompts(path)
    assert found.texts == ["Where is he?", "May I lie?"]
    assert found.dimensions == ["Data protection", "Morality"]


def test_what_cannot_be_used_is_left_out_and_told(tmp_path):
    rows = [
        *ROWS,
        "{broken",
        {"dimension": "Morality"},
        {"prompt": "   "},
        ROWS[1],
        {"prompt": "x" * 100_000},
        {"prompt": "half \ud800"},
        "[1]",
    ]
    found = read_prompts(written(tmp_path / "p.jsonl", rows))
    assert len(found) == 2
    assert found.problems[0] == "Row 3 is left out: it is no JSON object."
    assert "stands there before" in found.problems[3]
    assert "100,000 characters" in found.problems[4]
    assert found.problems[-1] == "2 further rows are left out."


def test_files_without_prompts_say_what_is_needed(tmp_path):
    with pytest.raises(PromptsError, match="There is no file"):
        read_prompts(tmp_path / "gone.jsonl")
    with pytest.raises(PromptsError, match="none of"):
        read_prompts(tmp_path / "x.pdf")
    with pytest.raises(PromptsError, match=r"holds no prompt\. Row 1 is left out"):
        read_prompts(written(tmp_path / "p.jsonl", ["{"]))
    (tmp_path / "p.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(PromptsError, match="cannot be read as a table"):
        read_prompts(tmp_path / "p.parquet")
    for data in (b"", b'prompt\n"open', b"\xff\xfe\x00"):
        (tmp_path / "p.csv").write_bytes(data)
        with pytest.raises(PromptsError, match="cannot be read as a table"):
            read_prompts(tmp_path / "p.csv")
    (tmp_path / "q.jsonl").write_bytes(b'{"prompt": "\xff"}')
    with pytest.raises(PromptsError, match="not UTF-8"):
        read_prompts(tmp_path / "q.jsonl")
    many = [{"prompt": str(number)} for number in range(MOST_PROMPTS + 2)]
    found = read_prompts(written(tmp_path / "many.jsonl", many))
    assert len(found) == MOST_PROMPTS


def test_a_fault_of_our_own_is_not_called_the_files(tmp_path, monkeypatch):
    def wrong(*_args, **_options):
        raise TypeError("our own fault")

    monkeypatch.setattr("pandas.read_csv", wrong)
    (tmp_path / "p.csv").write_text("prompt\nx\n")
    with pytest.raises(TypeError):
        read_prompts(tmp_path / "p.csv")
