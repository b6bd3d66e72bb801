"""The head of a GGUF file: its metadata and tensor table, read without any model library.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little endian).
The ``gguf`` package builds one numpy view per token of the vocabulary, which takes 12 s for
Gemma's 262,144 tokens; here an array is skipped over, which takes 0.1 s.
"""

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from core import CoreError
from core.runtime.paths import shown_path

_STRING: Final = 8
_ARRAY: Final = 9
_FORMATS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i",
    6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_UINT32: Final = 4
_COPY_BYTES: Final = 2**20
#: Bytes to which tensors may be aligned; the format's default is 32.
_MOST_ALIGNED: Final = 2**20
_AGAIN: Final = "Fetch it again and compare its SHA-256 with the publisher's."
_PART_NAME: Final = re.compile(r"(.+)-\d{5}-of-\d{5}\.gguf")
#: ``general.type`` of files that go beside a model, in words.
_OTHER_TYPES: Final = {
    "adapter": "an adapter (LoRA) that changes a model",
    "mmproj": "the encoder of pictures or sounds that goes beside a model (mmproj)",
    "imatrix": "the importance matrix from which a model was quantised",
    "vocab": "a vocabulary alone",
}
#: ``general.architecture`` of what is made with ggml besides language models, in words.
_OTHER_ARCHITECTURES: Final = (
    {"clip": "the encoder of pictures or sounds that goes beside a model (mmproj)"}
    | {"controlvector": "a control vector that steers a model"}
    | dict.fromkeys(("whisper", "parakeet"), "a recogniser of speech")
    | dict.fromkeys(("wavtokenizer-dec", "snac", "mimi", "dac"), "a coder of sound")
    | dict.fromkeys(
        ("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2",
         "jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder"),
        "an encoder, which makes one vector of a text and cannot predict the next token",
    )
    | dict.fromkeys(
        ("flux", "sd1", "sd3", "sdxl", "aura", "hidream", "lumina2", "cosmos", "ltxv",
         "hyvid", "wan", "qwen_image", "pig"),
        "a model that draws pictures",
    )
)  # fmt: skip
_SCALAR_BITS: Final = {0: 32, 1: 16, 30: 16}  # ggml types that hold plain floats: F32, F16, BF16


class GgufError(CoreError):
    """A GGUF file, or the packages that carry one, cannot be used."""


@dataclass(frozen=True)
class Field:
    """One metadata entry as it lies in the file."""

    value: Any
    """The scalar or string; for an array its number of entries."""

    is_array: bool
    """Whether ``value`` is a count."""

    start: int
    """Offset of the entry's first byte, its name."""

    end: int
    """Offset just past the entry."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of the table."""

    name: str
    """As llama.cpp writes it: ``blk.0.attn_q.weight``."""

    shape: tuple[int, ...]
    """Fastest axis first, the reverse of torch."""

    kind: int
    """ggml type number: 0 float32, 1 float16, others are blocks."""

    offset: int
    """Bytes from the start of the data."""


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says about itself."""

    fields: dict[str, Field]
    """Metadata by name, in file order."""

    tensors: tuple[TensorEntry, ...]
    """The tensor table, in file order."""

    table: tuple[int, int]
    """Offsets of the table's first byte and just past it."""

    data: int
    """Offset of the tensor data."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the architecture: ``gemma3``."""
        return str(self.fields["general.architecture"].value)

    @property
    def n_parameters(self) -> int:
        """Weights in all tensors together."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def vocabulary(self) -> int:
        """Tokens in the vocabulary; 0 if the file carries no tokenizer."""
        field = self.fields.get("tokenizer.ggml.tokens")
        return int(field.value) if field else 0

    def stated(self, name: str) -> Any:
        """Return a single entry; None if it is absent or a list."""
        field = self.fields.get(name)
        return None if field is None or field.is_array else field.value

    def number(self, name: str) -> int:
        """Return an entry of the architecture's own section, such as ``block_count``; 0 if absent.

        Some architectures give one value per layer; then the number of layers comes back.

        Raises:
            GgufError: The entry is no whole number.
        """
        field = self.fields.get(f"{self.architecture}.{name}")
        if field is None:
            return 0
        if not isinstance(field.value, int):
            raise GgufError(
                f"This GGUF is damaged: it states {str(field.value)[:40]!r} as "
                f"{self.architecture[:40]}.{name}, which is no whole number. {_AGAIN}"
            )
        return field.value


class _Cursor:
    """Reads forwards through the mapped file."""

    def __init__(self, view: mmap.mmap, at: int) -> None:
        self.view, self.at = view, at

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.view, self.at)
        self.at += struct.calcsize(form)
        return value

    def text(self) -> str:
        length = self.number("<Q")
        raw = self.view[self.at : self.at + length]
        if len(raw) < length:
            raise struct.error("a string runs past the end of the file")
        self.at += length
        return raw.decode("utf-8")

    def skip_texts(self, count: int) -> None:
        view, at, unpack = self.view, self.at, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + unpack(view, at)[0]
        self.at = at

    def field(self) -> tuple[str, Field]:
        start, name = self.at, self.text()
        kind = self.number("<I")
        if kind != _ARRAY:
            value = self.text() if kind == _STRING else self.number(_FORMATS[kind])
            return name, Field(value, is_array=False, start=start, end=self.at)
        element, count = self.number("<I"), self.number("<Q")
        if element == _STRING:
            self.skip_texts(count)
        else:
            self.at += count * struct.calcsize(_FORMATS[element])
        return name, Field(count, is_array=True, start=start, end=self.at)

    def tensor(self) -> TensorEntry:
        name = self.text()
        shape = tuple(self.number("<Q") for _ in range(self.number("<I")))
        return TensorEntry(name, shape, self.number("<I"), self.number("<Q"))


def read_header(path: Path) -> GgufHeader:
    """Read metadata and tensor table; the file may end after them.

    Raises:
        GgufError: The file is missing, no GGUF file, of another version, ends too early, or is a
            part of a split file or something else than a language model.
    """
    if not path.is_file():
        raise GgufError(f"There is no file {shown_path(path)}. Give the path of a .gguf file.")
    with path.open("rb") as file:
        start = file.read(24)
        if start[:4] != b"GGUF":
            raise GgufError(f"{path.name} is not a GGUF file (it does not begin with 'GGUF').")
        version = int.from_bytes(start[4:8], "little")
        if version not in (2, 3):
            raise GgufError(
                f"{path.name} is GGUF version {version} or big endian; versions 2 and 3, little "
                "endian, can be read. Convert it with a current llama.cpp."
            )
        try:
            n_tensors, n_fields = struct.unpack("<QQ", start[8:])
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                header = _read(_Cursor(view, 24), n_fields, n_tensors)
        except (struct.error, KeyError, UnicodeDecodeError, OverflowError) as error:
            raise GgufError(
                f"{path.name} is cut short or damaged: its head cannot be read ({error}). {_AGAIN}"
            ) from error
    _check_kind(path, header)
    return header


def _read(cursor: _Cursor, n_fields: int, n_tensors: int) -> GgufHeader:
    fields = dict(cursor.field() for _ in range(n_fields))
    table = cursor.at
    tensors = tuple(cursor.tensor() for _ in range(n_tensors))
    end = cursor.at
    alignment = _alignment(fields)
    return GgufHeader(fields, tensors, (table, end), -(-end // alignment) * alignment)


def _check_kind(path: Path, header: GgufHeader) -> None:
    """Refuse what is a sound GGUF file, but by what it says of itself no whole language model."""
    parts = header.stated("split.count")
    if isinstance(parts, int) and parts > 1:
        raise GgufError(_split(path, header.stated("split.no"), parts))
    architecture = header.stated("general.architecture")
    kind = str(header.stated("general.type") or "model")
    what = _OTHER_TYPES.get(kind) or _OTHER_ARCHITECTURES.get(str(architecture))
    if what is None and architecture is None:
        what = "nothing that names its architecture (it has no general.architecture)"
    if what is None and not header.tensors:
        what = "a vocabulary alone (it has no tensors)"
    if what is not None:
        raise GgufError(
            f"{path.name} holds {what}, not a language model. Name the .gguf file of the language "
            "model itself."
        )


def _split(path: Path, number: Any, parts: int) -> str:
    """Return the sentence for one part of a split file, with what joins them."""
    found = _PART_NAME.fullmatch(path.name)
    stem = found[1] if found else path.stem
    names = [f"{stem}-{part:05}-of-{parts:05}.gguf" for part in (1, min(parts, 99_999))]
    which = f"part {number + 1} of {parts}" if isinstance(number, int) else f"one of {parts} parts"
    return (
        f"{path.name} is {which} of a split GGUF, which is read as a whole only. Lay all parts "
        f"({names[0]} to {names[1]}) beside each other, join them with llama.cpp's "
        f"'llama-gguf-split --merge {names[0]} {stem}.gguf', and name {stem}.gguf."
    )


def _alignment(fields: dict[str, Field]) -> int:
    """Return the boundary, in bytes, on which the tensor data begins."""
    field = fields.get("general.alignment")
    if field is None:
        return 32  # the format's default
    if not isinstance(field.value, int) or not 1 <= field.value <= _MOST_ALIGNED:
        raise struct.error(f"general.alignment is {field.value!r}")
    return field.value


def check_length(path: Path, header: GgufHeader) -> None:
    """Refuse a file that ends before its last tensor begins, or within it if it is plain floats.

    Raises:
        GgufError: The file is cut short.
    """
    size = path.stat().st_size
    needed = max(
        (
            header.data
            + tensor.offset
            + max(1, prod(tensor.shape) * _SCALAR_BITS.get(tensor.kind, 1) // 8)
            for tensor in header.tensors
        ),
        default=0,
    )
    if size < needed:
        raise GgufError(
            f"{path.name} is cut short: it has {size:,} bytes, its tensors need at least "
            f"{needed:,}. {_AGAIN}"
        )


def write_without_vocabulary(source: Path, header: GgufHeader, target: Path) -> None:
    """Copy a GGUF file without the arrays of its tokenizer; all else stays byte for byte.

    The number of tokens is kept as ``<architecture>.vocab_size`` if the file does not state it.
    """
    size_name = f"{header.architecture}.vocab_size"
    kept = [
        field
        for name, field in header.fields.items()
        if not (field.is_array and name.startswith("tokenizer."))
    ]
    extra = b"" if size_name in header.fields else _uint32_entry(size_name, header.vocabulary)
    with source.open("rb") as old, target.open("wb") as new:
        new.write(old.read(8) + struct.pack("<QQ", len(header.tensors), len(kept) + bool(extra)))
        for field in kept:
            old.seek(field.start)
            new.write(old.read(field.end - field.start))
        old.seek(header.table[0])
        new.write(extra + old.read(header.table[1] - header.table[0]))
        new.write(b"\0" * (-new.tell() % _alignment(header.fields)))
        old.seek(header.data)
        _copy(old, new)


def _uint32_entry(name: str, value: int) -> bytes:
    raw = name.encode()
    return struct.pack("<Q", len(raw)) + raw + struct.pack("<II", _UINT32, value)


def _copy(old: BinaryIO, new: BinaryIO) -> None:
    while block := old.read(_COPY_BYTES):
        new.write(block)
