"""One array in one safetensors file, mapped into memory: float32, or bfloat16 at half the size.

The format is https://github.com/huggingface/safetensors; written here because the library cannot
create a file that is filled row by row. Never float16: residual streams exceed its range.
"""

import json
import mmap
import os
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from ml_dtypes import bfloat16
from numpy.typing import NDArray

StoredDtype = Literal["float32", "bfloat16"]

_DTYPES: Final[dict[str, tuple[str, np.dtype[Any]]]] = {
    "float32": ("F32", np.dtype("<f4")),
    "bfloat16": ("BF16", np.dtype(bfloat16)),
}


def create_array_file(path: Path, shape: tuple[int, ...], dtype: StoredDtype) -> NDArray[Any]:
    """Create a safetensors file for one tensor named ``array`` and return it mapped for writing.

    Args:
        path: File to create; an existing one is replaced.
        shape: Shape of the tensor, no axis empty.
        dtype: ``float32``, or ``bfloat16`` of the package ml_dtypes.
    """
    name, numpy_dtype = _DTYPES[dtype]
    count = int(np.prod(shape))
    header = json.dumps(
        {
            "array": {
                "dtype": name,
                "shape": list(shape),
                "data_offsets": [0, count * numpy_dtype.itemsize],
            }
        }
    ).encode()
    header += b" " * (-len(header) % 8)  # the format aligns the data to 8 bytes
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        _reserve(file.fileno(), 8 + len(header) + count * numpy_dtype.itemsize)
    mapped: NDArray[Any] = np.memmap(path, numpy_dtype, "r+", offset=8 + len(header), shape=shape)
    return mapped


def _reserve(descriptor: int, size: int) -> None:
    """Give the file its blocks now: in a sparse file a full disk becomes a SIGBUS much later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        os.ftruncate(descriptor, size)


def map_array_file(path: Path, *, writable: bool = False) -> NDArray[Any]:
    """Map the tensor of a file made by ``create_array_file``, as it is stored.

    Raises:
        ValueError: The file is no such safetensors file, or is cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= size - 8:
            raise ValueError(f"{path.name} is not a safetensors file")
        header = file.read(length)
    try:
        entry = json.loads(header)["array"]
        numpy_dtype, shape = dict(_DTYPES.values())[entry["dtype"]], tuple(entry["shape"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is not a safetensors file of ours") from error
    if size < 8 + length + int(np.prod(shape)) * numpy_dtype.itemsize:
        raise ValueError(f"{path.name} is cut short")  # mapped for writing it would be filled up
    mapped: NDArray[Any] = np.memmap(
        path, numpy_dtype, "r+" if writable else "r", offset=8 + length, shape=shape
    )
    return mapped


def let_go(mapped: NDArray[Any]) -> None:
    """Drop the pages of a mapped array from this process's memory; its file keeps what is in it.

    Arrays that are filled row by row would else come to lie in memory as a whole.
    """
    base: Any = mapped.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        base.madvise(mmap.MADV_DONTNEED)


def to_stored(values: NDArray[np.float32], dtype: StoredDtype) -> NDArray[Any]:
    """Encode float32 values for a mapped array; bfloat16 rounds to nearest, ties to even."""
    if dtype == "float32":
        return values
    # One NaN for all: the cast keeps the sign of each, and warns of some.
    return np.where(np.isnan(values), np.float32(np.nan), values).astype(bfloat16)


def to_float32(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Decode a mapped array: float32 is passed through unread, bfloat16 is widened."""
    return stored.astype(np.float32, copy=False)
