"""What one process holds: sets of items by name, a table that becomes one, the archive."""

import threading

import pytest

from core import CoreError
from core.dataset import archive, sets
from core.dataset.sets import ItemSpec
from core.runtime.store import default_root
from core.workbench import BUILTIN, Workbench
from tests.core.benches import done, failed


def test_the_built_in_set_is_there_without_a_table(bench):
    items = bench.items()
    assert len(items) > 1500
    assert items.provenance.kind == "builtin"
    assert bench.items(BUILTIN).digest == items.digest


def test_a_table_becomes_a_set_that_is_found_by_its_digest(bench, few_items):
    assert bench.items(few_items.digest).digest == few_items.digest
    assert bench.items(few_items.digest[:12]).item.tolist() == few_items.item.tolist()


@pytest.mark.parametrize("name", ["", "x", "0" * 64, "../../etc", "bu\0ilt", "builtins"])
def test_an_unknown_set_is_a_clear_sentence(bench, name):
    with pytest.raises(CoreError, match="No stored set of items has the digest"):
        bench.items(name)


def test_a_table_that_cannot_be_read_fails_with_its_reason(bench, tmp_path):
    error = failed(bench.add_items(ItemSpec("file", tmp_path / "nowhere.tsv")))
    assert "nowhere.tsv" in error
    assert "unexpected" not in error


def test_who_asks_for_the_archive_meanwhile_joins_the_job_and_a_sample_is_another(
    bench, monkeypatch
):
    free, fetched = threading.Event(), []

    def fetch(*_):
        fetched.append(1)
        assert free.wait(10)
        return sets.BUILTIN_FILE

    monkeypatch.setattr(archive, "fetch", fetch)
    job = bench.fetch_archive()
    assert bench.fetch_archive() is job
    other = bench.fetch_archive("diagnosis")
    assert other is not job
    free.set()
    assert done(job).result.provenance.name == "Social-Chemistry-101"
    done(other)
    assert fetched == [1, 1]


def test_the_default_cache_is_the_one_that_the_environment_names():
    assert Workbench.at().store.root == default_root()
