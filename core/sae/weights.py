"""Files of weights from strangers: read without running anything, measured first, as float32."""

import json
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import DictionaryError

if TYPE_CHECKING:
    import torch

#: Largest dictionary in float32: 65,536 latents of width 4,096 have 2 GiB.
MAX_BYTES: Final = 24 * 2**30
#: Largest JSON file, and largest index of a PyTorch archive (the real ones have kilobytes).
MAX_TEXT_BYTES: Final = 4 * 2**20
_AGAIN: Final = "Copy or download it again."
#: What torch.load raises over bytes that are no archive of tensors, as found by damaging one.
_DAMAGE: Final = (
    RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, EOFError,
    OverflowError, OSError, struct.error,
)  # fmt: skip


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises:
        DictionaryError: It is too large, no JSON object, or cannot be read.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise DictionaryError(f"{path.name} is far too large for a description. {_AGAIN}")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DictionaryError(
            f"{path.name} is cut short or damaged: it is no JSON. {_AGAIN}"
        ) from error
    if not isinstance(value, dict):
        raise DictionaryError(f"{path.name} is damaged: it holds no JSON object. {_AGAIN}")
    return value


def read_safetensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Read every tensor of a safetensors file as float32 on the CPU, in memory of its own.

    Raises:
        DictionaryError: It is too large, cut short, damaged, or holds what are no real numbers.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MAX_BYTES:
            raise DictionaryError(_too_large(path, path.stat().st_size))
        with safe_open(path, framework="pt") as file:
            return _as_float32(path, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except SafetensorError as error:
        raise DictionaryError(
            f"{path.name} is cut short or damaged: it is no safetensors file. {_AGAIN}"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def read_torch_file(path: Path) -> dict[str, "torch.Tensor"]:
    """Read a PyTorch archive that holds one dict of tensors, as float32 on the CPU.

    A single whole number may be among them: some keep their ``k`` as a tensor.

    Only tensors are unpickled (``weights_only``); anything that could run code is refused.

    Raises:
        DictionaryError: It is too large, cut short, damaged, or holds more than tensors.
    """
    import torch

    _check_archive(path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DictionaryError(
            f"{path.name} holds more than tensors. Opening it could run code, so it is refused. "
            "Ask its author for a safetensors file, or for a dict of tensors alone."
        ) from error
    except _DAMAGE as error:
        raise DictionaryError(
            f"{path.name} is damaged: PyTorch cannot read it. {_AGAIN}"
        ) from error
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise DictionaryError(f"{path.name} holds no dict of tensors, so it is no dictionary.")
    return _as_float32(path, value)


def _check_archive(path: Path) -> None:
    """Refuse what is no whole zip, or would fill the memory when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except OSError as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, ValueError, RuntimeError, struct.error) as error:
        raise DictionaryError(
            f"{path.name} is no whole PyTorch archive: it is cut short, damaged, or a plain "
            f"pickle, which could run code and is refused. {_AGAIN}"
        ) from error
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_BYTES:
        raise DictionaryError(_too_large(path, unpacked))
    if any(
        entry.filename.endswith(".pkl") and entry.file_size > MAX_TEXT_BYTES for entry in entries
    ):
        raise DictionaryError(f"{path.name} holds more than tensors, so it is refused.")


def _as_float32(path: Path, tensors: Mapping[str, Any]) -> dict[str, "torch.Tensor"]:
    import torch

    for name, tensor in tensors.items():
        plain = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        if not plain or not (tensor.is_floating_point() or _is_count(tensor)):
            raise DictionaryError(
                f"{path.name} is no dictionary: {name[:40]!r} is no tensor of floats."
            )
    # Numbers, not bytes stored: a tensor may repeat one number a million times.
    size = 4 * sum(tensor.numel() for tensor in tensors.values())
    if size > MAX_BYTES:
        raise DictionaryError(_too_large(path, size))
    # A copy: what is only mapped would change, or be gone, with the file.
    return {
        name: tensor.detach().to(torch.float32, copy=True).contiguous()
        for name, tensor in tensors.items()
    }


def _is_count(tensor: "torch.Tensor") -> bool:
    return tensor.ndim == 0 and not tensor.is_complex() and not tensor.is_quantized


def _too_large(path: Path, size: int) -> str:
    return (
        f"{path.name} would fill {size / 2**30:,.0f} GiB of memory; dictionaries up to "
        f"{MAX_BYTES / 2**30:,.0f} GiB are read. Choose one with fewer latents."
    )


def _unreadable(path: Path, error: OSError) -> DictionaryError:
    return DictionaryError(f"{path.name} cannot be read ({error.strerror or error}).")
