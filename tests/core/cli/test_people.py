"""The command ``people``: tells how far the human map can be trusted, and writes it."""

import json


def test_the_human_map_is_drawn_and_written(run, tmp_path):
    path = tmp_path / "map.json"
    status, out, _ = run("people", "--out", path)
    told = json.loads(path.read_text())
    assert status == 0
    assert f"{len(told['points'])} different moral vectors" in out
    assert told["command"].startswith("python -m core people --out")
    status, out, err = run("people", "--items", "none")
    assert status != 0
    assert "none" in err
