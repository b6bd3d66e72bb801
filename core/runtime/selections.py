"""Selections of items under a short name, so that a URL can carry any number of them."""

import pyarrow as pa

from core.runtime.store import Store, fingerprint

#: Hex digits of a selection's name.
DIGITS = 12


def save_selection(store: Store, ids: list[str]) -> str:
    """Keep a selection and return its name; the same items have the same name."""
    ids = sorted(set(ids))
    name = fingerprint(ids)[:DIGITS]
    key = {"selection": name}
    if not store.has("selection", key):
        store.save_table("selection", key, pa.table({"item": ids}))
    return name


def load_selection(store: Store, name: str) -> list[str] | None:
    """Return the ids of a selection, or None if no selection of that name is stored."""
    table = store.open_table("selection", {"selection": name})
    return None if table is None else list(table["item"].to_pylist())
