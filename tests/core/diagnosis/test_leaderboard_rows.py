"""Rows of the leaderboard: of one run's, those with the most controls."""

from dataclasses import replace

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
