"""Everything one process holds: the store, the open models, the jobs. Pages and commands ask it."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.dataset import archive, sets
from core.dataset.items import Items
from core.dataset.sets import ItemSpec, Sample
from core.models.open_models import Shelf
from core.runtime.progress import Report, part
from core.runtime.runner import Job, Runner
from core.runtime.store import Store, default_root, fingerprint

#: Text form of the set that comes with the project; other sets are named by their digest.
BUILTIN = "builtin"


@dataclass(frozen=True, eq=False)
class Workbench:
    """The store, the open models and the jobs of this process."""

    store: Store
    """Artefacts on disk."""

    shelf: Shelf
    """Open models."""

    runner: Runner
    """Long work."""

    @classmethod
    def at(cls, root: Path | None = None) -> "Workbench":
        """Open a cache folder, ``default_root()`` if none is named."""
        store = Store(root or default_root())
        store.prepare()
        return cls(store, Shelf(store), Runner())

    def items(self, name: str = BUILTIN) -> Items:
        """Return a set by name: ``builtin`` or the digest of a stored set.

        Raises:
            CoreError: There is no such set.
        """
        if name == BUILTIN:
            return sets.builtin(self.store)
        return sets.open_set(self.store, name)

    def add_items(self, spec: ItemSpec) -> Job:
        """Start the job that reads a table into a set of items; its result is the ``Items``."""
        key = fingerprint({"items": str(spec)})
        work = partial(sets.load_or_read, self.store, spec)
        return self.runner.submit(key, f"Reading {spec.name or spec.path}", work, lane="data")

    def fetch_archive(self, sample: Sample = "all") -> Job:
        """Start the job that fetches the official Social-Chemistry-101 archive and reads it."""

        def work(report: Report) -> Items:
            path = archive.fetch(self.store, part(report, 0.0, 0.7))
            spec = ItemSpec("file", path, name="Social-Chemistry-101", sample=sample)
            return sets.load_or_read(self.store, spec, part(report, 0.7, 1.0))

        return self.runner.submit(
            f"archive {sample}", "Fetching Social-Chemistry-101", work, lane="data"
        )
