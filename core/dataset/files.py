"""Files that hold a table: what they are, whether they are safe to read, their rows as text.

Everything a person can get wrong about a file is noticed here and said in a sentence, before DuckDB
reads the rows.
"""

import codecs
import contextlib
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from core.dataset.records import records, trimmed
from core.dataset.rows import (
    NO_TEXT,
    TableError,
    TableFile,
    connection,
    json_fault,
    json_object,
    literal,
)
from core.runtime.paths import shown_path
from core.runtime.store import clear_disk_errors

#: Uncompressed bytes accepted from a zip; the official table has 0.15 GB.
MAX_UNPACKED: Final = 2**30
#: Uncompressed over compressed size accepted above ``RATIO_FROM`` bytes; the official zip has 5.3.
MAX_RATIO: Final = 100
RATIO_FROM: Final = 16 * 2**20
#: Bytes, and rows among them, read to recognise a table and what its columns hold.
HEAD_BYTES: Final = 256 * 1024
SAMPLE_ROWS: Final = 1000

_CHUNK: Final = 2**20
_ACCEPTED: Final = "Possible are TSV, CSV, Parquet, JSON Lines, and a zip with one .tsv file."
#: Characters of a path that a message repeats.
_SHOWN_PATH: Final = 120
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
#: The first line by which spreadsheets tell each other what stands between cells.
_SEPARATOR_LINE: Final = re.compile(r'"?sep=([\t,;|])"?', re.IGNORECASE)


@contextlib.contextmanager
def opened(path: Path, workspace: Path | None = None) -> Iterator[TableFile]:
    """Yield the table in a file that a person named; a zip is unpacked into the workspace.

    Args:
        path: The file.
        workspace: Folder for temporary copies, removed afterwards; None: the system's.

    Raises:
        TableError: The file is missing, unreadable, empty, no table, or not safe to unpack.
    """
    check_file(path)
    with contextlib.ExitStack() as stack:
        with contextlib.nullcontext() if workspace is None else clear_disk_errors(workspace):
            if workspace is not None:
                workspace.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".table-", dir=workspace)
        folder = stack.enter_context(made)
        source, shown = path, path.name
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == b"PK\x03\x04":
            source, shown = _unpack(path, Path(folder))
        if magic == b"PAR1":
            yield _parquet_file(_plain_name(source, Path(folder)), shown)
        else:
            source = _utf8(source, shown, Path(folder))
            yield _text_file(_clean_text(source, shown, Path(folder)), shown)


def check_file(path: Path) -> None:
    """Refuse a path that is no readable file.

    Raises:
        TableError: It is missing, a folder, no regular file, unreadable or empty.
    """
    try:
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have: too long, or with a NUL
        there = False
    if not there:
        shown = shown_path(path)
        shown = shown if len(shown) <= _SHOWN_PATH else f"{shown[:_SHOWN_PATH]} …"
        raise TableError(f"There is no file {shown}. Check the path, or upload the file.")
    if path.is_dir():
        raise TableError(f"{path.name} is a folder. Name the table file inside it.")
    if not path.is_file():
        raise TableError(f"{path.name} is not a regular file. {_ACCEPTED}")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise TableError(
            f"{path.name} cannot be read ({error.strerror}). Give this user read access and try "
            "again."
        ) from error
    if not first:
        raise TableError(f"{path.name} is empty. {_ACCEPTED}")


def _utf8(source: Path, shown: str, folder: Path) -> Path:
    """Return the file, or its copy in UTF-8 where its mark says UTF-16, as spreadsheets write."""
    with source.open("rb") as file:
        magic = file.read(2)
    if magic == b"\x1f\x8b":
        raise TableError(f"{shown} is gzip-compressed. Unpack it first, then name the table.")
    if magic not in _UTF16:
        return source
    target = folder / "utf8.txt"
    decoder = codecs.getincrementaldecoder(_UTF16[magic])()
    with clear_disk_errors(folder), source.open("rb") as file, target.open("wb") as copy:
        file.seek(len(magic))
        try:
            while block := file.read(_CHUNK):
                copy.write(decoder.decode(block).encode())
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            raise TableError(
                f"{shown} begins as UTF-16, but is damaged or cut short. Save it as UTF-8 and try "
                "again."
            ) from error
    return target


def _unpack(path: Path, folder: Path) -> tuple[Path, str]:
    """Write the zip's one .tsv member into ``folder``; return it and its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = _only_table(archive, path.name)
            target = folder / "member.tsv"
            with clear_disk_errors(folder), archive.open(member) as source:
                _copy_capped(source, target, member, path.name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise TableError(
            f"{path.name} is a damaged or unusual zip ({error}). Fetch it again, or unpack it and "
            "name the .tsv file."
        ) from error
    return target, f"{member.filename} in {path.name}"


def _only_table(archive: zipfile.ZipFile, shown: str) -> zipfile.ZipInfo:
    names = [entry.filename for entry in archive.infolist()]
    if "[Content_Types].xml" in names:
        raise TableError(f"{shown} is an Office document. Save the sheet as CSV and try again.")
    tables = [
        entry
        for entry in archive.infolist()
        if entry.filename.lower().endswith(".tsv")
        and not entry.filename.startswith("__MACOSX/")
        and not Path(entry.filename).name.startswith(".")
    ]
    if len(tables) != 1:
        found = ", ".join(entry.filename for entry in tables[:5]) or "none"
        raise TableError(
            f"{shown} must hold exactly one .tsv file, but holds {len(tables)} ({found}). "
            "Unpack it and name the table itself."
        )
    if tables[0].flag_bits & 1:
        raise TableError(f"{shown} is protected by a password. Unpack it and name the .tsv file.")
    return tables[0]


def _copy_capped(source: Any, target: Path, member: zipfile.ZipInfo, shown: str) -> None:
    """Copy a member while it stays within the caps: the sizes a zip states may be wrong."""
    written = 0
    with target.open("wb") as file:
        while block := source.read(_CHUNK):
            written += len(block)
            ratio = written / max(member.compress_size, 1)
            if written > MAX_UNPACKED or (written > RATIO_FROM and ratio > MAX_RATIO):
                raise TableError(
                    f"{member.filename} in {shown} unpacks to more than is accepted "
                    f"({MAX_UNPACKED / 2**30:.0f} GiB, or {MAX_RATIO} times its packed size). If "
                    "you trust it, unpack it yourself and name the .tsv file."
                )
            file.write(block)


def _clean_text(source: Path, shown: str, folder: Path) -> Path:
    """Refuse what is not UTF-8 text; copy a file whose name or line ends DuckDB would misread.

    Where line ends are mixed, a lone CR ends a record of a CSV file as the standard has it; in a
    table with tabs, whose cells are not quoted, it is a stray sign in a text, and in JSON a blank.
    """
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        mixed = _scan_text(file, shown)
    # Behind a mark, DuckDB loses every row of a file whose skipped first line is quoted.
    marked = head.startswith(codecs.BOM_UTF8)
    if not mixed and not marked:
        return _plain_name(source, folder)
    first = head.removeprefix(codecs.BOM_UTF8).lstrip()
    stray = mixed and (
        first.startswith(b"{") or b"\t" in re.split(rb"[\r\n]", first, maxsplit=1)[0]
    )
    target = folder / "table.txt"
    with clear_disk_errors(folder), source.open("rb") as file, target.open("wb") as copy:
        file.seek(len(codecs.BOM_UTF8) if marked else 0)
        held, quotes = b"", 0
        while block := held + file.read(_CHUNK):
            held = b"\r" if block.endswith(b"\r") and block != held else b""
            pieces = block[: len(block) - len(held)].replace(b"\r\n", b"\n").split(b"\r")
            for piece in pieces[:-1]:
                quotes += piece.count(b'"')
                copy.write(piece + (b" " if stray or quotes % 2 else b"\n"))
            quotes += pieces[-1].count(b'"')
            copy.write(pieces[-1])
    return target


def _plain_name(source: Path, folder: Path) -> Path:
    """Return a path without the signs DuckDB takes for a pattern of several files."""
    if not set("*?[]{}") & set(str(source)):
        return source.resolve()
    target = folder / f"table{source.suffix if source.suffix.isalnum() else ''}"
    with clear_disk_errors(folder), source.open("rb") as file, target.open("wb") as copy:
        while block := file.read(_CHUNK):
            copy.write(block)
    return target


def _scan_text(file: BinaryIO, shown: str) -> bool:
    """Check every byte; tell whether different line ends are mixed (DuckDB refuses those)."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = newlines = pairs = returns = 0
    last = b""
    while block := file.read(_CHUNK):
        if b"\0" in block:
            raise TableError(
                f"{shown} is not a text table: it holds NUL bytes, so it is a binary file or not "
                f"saved as UTF-8. {_ACCEPTED}"
            )
        _decode(decoder, block, shown, offset)
        newlines += block.count(b"\n")
        returns += block.count(b"\r")
        pairs += (last + block).count(b"\r\n")
        last = block[-1:] if block.endswith(b"\r") else b""
        offset += len(block)
    _decode(decoder, b"", shown, offset, final=True)
    return newlines > 0 and not newlines == pairs == returns and returns > 0


def _decode(
    decoder: codecs.IncrementalDecoder,
    block: bytes,
    shown: str,
    offset: int,
    *,
    final: bool = False,
) -> None:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        place = offset + max(error.start, 0)
        raise TableError(
            f"{shown} is not UTF-8 text (near byte {place:,}). Save it with the encoding UTF-8 "
            "and try again."
        ) from error


def _text_file(path: Path, shown: str) -> TableFile:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    if not trimmed(text):
        raise TableError(f"{shown} is empty. {_ACCEPTED}")
    complete = len(head) < HEAD_BYTES
    if text.lstrip().startswith("{"):
        return _jsonl_file(path, shown, text, complete=complete)
    if text.lstrip().startswith("["):
        raise TableError(f"{shown} is one JSON list. Write one object per line (JSON Lines).")
    return _delimited_file(path, shown, text.encode(), complete=complete)


def _delimited_file(path: Path, shown: str, head: bytes, *, complete: bool) -> TableFile:
    """Find the delimiter, the header and the first rows; DuckDB reads the rest by these."""
    stated, skipped = _stated_delimiter(head)
    delimiter = stated or max("\t,;", key=lambda sign: len(_header(head, sign, 0)[0]))
    header, line = _header(head, delimiter, skipped)
    columns = tuple(trimmed(cell) for cell in header)
    if len(columns) < 2:
        raise TableError(
            f"{shown} has only one column ({header[0][:60]!r}). Its cells must be separated by "
            "tabs, commas or semicolons, and its first line must name the columns. "
            f"{_ACCEPTED}"
        )
    _check_names(columns, shown)
    first = list(islice(_rows(head, delimiter, line), SAMPLE_ROWS + 1))
    if not complete and len(first) <= SAMPLE_ROWS:
        first = first[:-1]  # the head was cut inside this record
    fitting = [row for row in first if len(row) == len(columns) and any(map(trimmed, row))]
    sample = tuple(dict(zip(columns, row, strict=True)) for row in fitting[:SAMPLE_ROWS])
    return TableFile(path, shown, "text", delimiter, columns, sample, line - 1)


def _stated_delimiter(head: bytes) -> tuple[str, int]:
    """Return what a first line such as ``sep=;`` states, and how many lines that takes."""
    line = re.split(rb"[\r\n]", head, maxsplit=1)[0].decode()
    # The stated sign may be a tab, a blank, so nothing is trimmed away here.
    found = _SEPARATOR_LINE.fullmatch(line)
    return (found[1], 1) if found else ("", 0)


def _header(head: bytes, delimiter: str, skipped: int) -> tuple[tuple[str, ...], int]:
    """Return the cells of the first line that is not empty, and its number."""
    for record in records(head, delimiter, quoted=True):
        if record.line > skipped and any(map(trimmed, record.cells)):
            return record.cells, record.line
    return ("",), 1


def _rows(head: bytes, delimiter: str, header_line: int) -> Iterator[list[str]]:
    quoted = delimiter != "\t"
    for record in records(head, delimiter, quoted=quoted):
        if record.line > header_line and not record.empty:
            yield [cell if quoted else unquoted(cell) for cell in record.cells]


def unquoted(cell: str) -> str:
    """Return a cell without its CSV quotes; a cell that is not wholly quoted stays as it is."""
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"':
        return cell
    inner = cell[1:-1]
    return inner.replace('""', '"') if '"' not in inner.replace('""', "") else cell


def _check_names(columns: tuple[str, ...], shown: str) -> None:
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise TableError(f"{shown} has two columns named {twice[0]!r}. Rename one of them.")


def _jsonl_file(path: Path, shown: str, text: str, *, complete: bool) -> TableFile:
    columns: dict[str, None] = {}
    sample = []
    lines = text.split("\n")  # the one line end of JSON Lines; U+2028 may stand inside a string
    for number, line in enumerate(lines[:SAMPLE_ROWS], start=1):
        if not trimmed(line):
            continue
        try:
            record = json_object(line)
        except ValueError as error:
            if number == len(lines) > 1 and not complete:
                break  # the head was cut inside this line
            raise TableError(json_fault(shown, number, str(error))) from error
        columns.update(dict.fromkeys(record))
        sample.append({name: _json_cell(value) for name, value in record.items()})
    return TableFile(path, shown, "jsonl", "", tuple(columns), tuple(sample))


def _json_cell(value: object) -> str:
    """Return a value as the rows will hold it: a text as it is, ``null`` as an empty cell."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _parquet_file(path: Path, shown: str) -> TableFile:
    import duckdb

    with connection() as con:
        try:
            query = con.sql(f"SELECT * FROM read_parquet({literal(str(path))}) LIMIT {SAMPLE_ROWS}")
            columns = tuple(query.columns)
            rows = query.fetchall()
        except (duckdb.Error, *NO_TEXT) as error:
            raise TableError(
                f"{shown} is a damaged Parquet file. Write it again, or use CSV instead."
            ) from error
    sample = tuple(
        {name: "" if cell is None else str(cell) for name, cell in zip(columns, row, strict=True)}
        for row in rows
    )
    return TableFile(path, shown, "parquet", "", columns, sample)
