"""A row is known by all that it measures."""

from core.cluster.rows import rows_of
from core.leaderboard.model_list import read_list


def test_rows_with_other_aligned_dictionaries_are_other_rows(tmp_path):
    path = tmp_path / "list.toml"
    one = '[[model]]\npackaged = true\nname = "same"\ntraining = "same"\n'
    path.write_text("".join(f"{one}{more}" for more in ("", 'aligned = "a"\n', 'aligned = "b"\n')))
    entries = read_list(path)
    assert [entry.problem for entry in entries] == ["", "", ""]
    assert len({row.digest for row in rows_of(entries, {})}) == 3
