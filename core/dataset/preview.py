"""How the first rows of a person's own table will be read, before the table is read."""

from dataclasses import dataclass

from core.dataset.annotations import flatten, type_cells, value_checks
from core.dataset.columns import ColumnMapping, TableShape, wanted_columns
from core.dataset.rows import connection
from core.foundations import FOUNDATIONS


@dataclass(frozen=True)
class ReadRow:
    """What becomes of one row."""

    text: str
    """The action."""

    foundations: str
    """Joined by commas; as typed where the row is not read."""

    pole: str
    """``virtue``, ``vice`` or ``neutral``; empty where the row is not read."""

    grade: float | None
    """0..1; None where the row is not read."""

    fault: str
    """Why the row is not read, in words; empty where it is."""


def read_first_rows(shape: TableShape, mapping: ColumnMapping) -> tuple[ReadRow, ...]:
    """Return what becomes of a table's first rows, by the checks and the formula of the reading.

    Raises:
        TableError: The table lacks a column of the mapping.
    """
    import pyarrow as pa

    wanted = {
        role: column
        for role, column in wanted_columns(shape, mapping).items()
        if role != "identifier"  # so that rows keep their numbers
    }
    given = [{role: row.get(name) for role, name in wanted.items()} for row in shape.preview]
    schema = pa.schema([("row", pa.int64()), *((role, pa.string()) for role in wanted)])
    head = pa.Table.from_pylist([{"row": n, **row} for n, row in enumerate(given)], schema)
    with connection() as con:
        con.register("head", head)
        con.execute("CREATE TEMP TABLE raw AS SELECT * FROM head")
        type_cells(con, shape.delimiter, wanted, "own")
        faults: dict[int, str] = {}
        for check in value_checks(wanted, "own"):
            broken = con.sql(f"SELECT row FROM cells WHERE {check.broken}").fetchall()
            for (row,) in broken:
                held = f"{wanted[check.field]!r} holds {(given[row][check.field] or '')[:40]!r}"
                faults.setdefault(row, f"{held}; allowed is {check.allowed}")
        con.execute(f"DELETE FROM cells WHERE list_contains({list(faults)}::BIGINT[], row)")
        read: dict[int, list[dict[str, object]]] = {}
        for one in flatten(con, wanted, "own", "").to_pylist():
            read.setdefault(int(one["annotation"].removeprefix("row_")), []).append(one)
    return tuple(_row(cells, read.get(n, []), faults.get(n, "")) for n, cells in enumerate(given))


def _row(cells: dict[str, str | None], read: list[dict[str, object]], fault: str) -> ReadRow:
    text = cells["action"] or ""
    if not read:
        return ReadRow(text, cells["foundations"] or "", "", None, fault)
    named = ", ".join(FOUNDATIONS[int(str(one["foundation"]))] for one in read)
    return ReadRow(text, named, str(read[0]["pole"]), float(str(read[0]["grade"])), "")
