"""Rows of the leaderboard: of one run's, those with the most controls."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from core.diagnosis.leaderboard_rows import ModelTags, keep, leaderboard


def test_a_run_with_a_sentence_embedding_goes_before_one_without(store, study, make_diagnosis):
    whole = make_diagnosis(study)
    rest = {name: one for name, one in whole.baselines.items() if name != "sentence"}
    keep(store, whole)
    keep(store, replace(whole, baselines=rest), labels=ModelTags(family="Llama"))
    board = leaderboard(store, study.items.digest)
    assert len(board) == 4
    assert list(board["sentence"].round(3)) == 4 * [0.1]
    keep(store, replace(whole, baselines=rest), make_diagnosis(study, flat=True))
    board = leaderboard(store, study.items.digest)  # the untrained copy comes first
    assert board["untrained"].notna().all()
    assert board["sentence"].isna().all()


@pytest.mark.parametrize(
    ("kept", "read"),
    [
        ("tiny, untrained 0", "tiny, untrained copy"),
        ("tiny, untrained 12", "tiny, untrained copy, seed 12"),
        ("tiny, untrained copy", "tiny, untrained copy"),
        ("untrained 0", "untrained 0"),  # a name of somebody's own
    ],
)
def test_a_copy_that_was_kept_under_its_former_name_is_read_under_the_present_one(
    store, study, make_diagnosis, kept, read
):
    keep(store, make_diagnosis(study), labels=ModelTags(name=kept))
    assert set(leaderboard(store, study.items.digest)["name"]) == {read}
    (file,) = store.root.glob("standing/*/*.parquet")
    assert set(pq.read_table(file)["name"].to_pylist()) == {kept}  # what is stored stays
