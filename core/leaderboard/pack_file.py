"""A pack as a file: a zip of stored (never compressed) files, each with its SHA-256 in a manifest.

Everything is checked before anything is taken out: names, sizes, hashes, format. Because nothing is
compressed, what a pack declares can never be larger than the pack itself.
"""

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn

from core import CoreError
from core.runtime.store import file_sha256

#: Raised whenever an older Moralscope could not read what is written.
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".moralscope"
#: Kinds of artefacts that a pack may hold.
KINDS: Final = ("items", "acts", "layout", "evidence", "diagnosis", "waterfall")
MOST_FILES: Final = 200_000
MOST_MANIFEST: Final = 2**26
MOST_BYTES: Final = 2**36

_KIND_OF_FILE: Final = "moralscope pack"
_NAME: Final = re.compile(
    rf"({'|'.join(KINDS)})/[0-9a-f]{{64}}/[A-Za-z0-9_-]+\.(json|parquet|safetensors)"
)
_BLOCK: Final = 2**20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # no time of packing: same content, same bytes


class PackError(CoreError):
    """A pack cannot be made or used."""


@dataclass(frozen=True)
class Pack:
    """A pack whose content was checked."""

    path: Path
    """The file."""

    manifest: Mapping[str, Any]
    """What it says about itself."""

    sha256: str
    """SHA-256 of the manifest, which names the hash of every file: the identity of the pack."""


def write_pack(path: Path, facts: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Write a pack, all or nothing; the same content gives the same bytes.

    Args:
        path: Where to.
        facts: What the manifest says beside the hashes; JSON values.
        files: Name in the pack -> file on disk.

    Raises:
        PackError: The file cannot be written.
    """
    hashes = {
        name: {"bytes": source.stat().st_size, "sha256": file_sha256(source)}
        for name, source in sorted(files.items())
    }
    manifest = {"pack": _KIND_OF_FILE, "format": FORMAT, **facts, "files": hashes}
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
    aside = path.with_name(f".{path.name}.new")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), text)
            for name, source in sorted(files.items()):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.file_size = source.stat().st_size
                with archive.open(entry, "w") as target, source.open("rb") as given:
                    shutil.copyfileobj(given, target, _BLOCK)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise PackError(f"{path} cannot be written: {error.strerror}. Name another.") from error


def open_pack(path: Path) -> Pack:
    """Check a pack from its names to its last hash.

    Raises:
        PackError: It is no pack, damaged, from a newer version, or holds what no pack may hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive)
            text = archive.read(MANIFEST)
            manifest = _manifest(path, text)
            _check_files(path, archive, manifest["files"])
    except OSError as error:
        raise PackError(f"The pack {path} cannot be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        _refuse(path, f"it is no pack, or was cut off on its way ({error})")
    return Pack(path, manifest, hashlib.sha256(text).hexdigest())


def extract(pack: Pack, name: str, target: Path) -> None:
    """Copy one file out of a checked pack."""
    with zipfile.ZipFile(pack.path) as archive, archive.open(name) as given:
        with target.open("wb") as out:
            shutil.copyfileobj(given, out, _BLOCK)


def read_json(pack: Pack, name: str) -> Any:
    """Return one JSON file of a checked pack."""
    with zipfile.ZipFile(pack.path) as archive:
        try:
            return json.loads(archive.read(name))
        except ValueError as error:
            _refuse(pack.path, f"{name} is no JSON ({error})")


def _refuse(path: Path, fault: str) -> NoReturn:
    raise PackError(f"{path.name} was not opened: {fault}. Nothing of it was kept.")


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse names and sizes before a byte of content is read."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        _refuse(path, f"it has no {MANIFEST}, so it is no pack of Moralscope")
    if len(entries) > MOST_FILES or len(set(names)) < len(names):
        _refuse(path, "it holds too many files, or one twice")
    for entry in entries:
        if entry.filename != MANIFEST and not _NAME.fullmatch(entry.filename):
            _refuse(path, f"it holds {entry.filename!r}, which belongs in no pack")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            _refuse(path, f"{entry.filename} is compressed or encrypted; packs store files plainly")
    declared = sum(entry.file_size for entry in entries)
    if declared > min(path.stat().st_size, MOST_BYTES):
        _refuse(path, f"its files claim {declared:,} bytes, more than it can hold")
    if archive.getinfo(MANIFEST).file_size > MOST_MANIFEST:
        _refuse(path, "its manifest is too large")


def _manifest(path: Path, text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except ValueError:
        _refuse(path, f"its {MANIFEST} is no JSON")
    if not isinstance(manifest, dict) or manifest.get("pack") != _KIND_OF_FILE:
        _refuse(path, f"its {MANIFEST} does not say that it is a pack")
    version = manifest.get("format")
    if not isinstance(version, int) or version > FORMAT:
        _refuse(
            path,
            f"it was made by a newer Moralscope (format {version}, this one reads {FORMAT}); "
            "update Moralscope to open it",
        )
    if not isinstance(manifest.get("files"), dict):
        _refuse(path, "its manifest lists no files")
    return manifest


def _check_files(path: Path, archive: zipfile.ZipFile, listed: Mapping[str, Any]) -> None:
    """Compare every file with the manifest."""
    names = {entry.filename for entry in archive.infolist()} - {MANIFEST}
    if names != set(listed):
        odd = sorted(names ^ set(listed))[0]
        _refuse(path, f"manifest and content differ: {odd} is in one of them only")
    for name in sorted(names):
        with archive.open(name) as given:
            found = hashlib.file_digest(given, "sha256").hexdigest()  # type: ignore[arg-type]
        if not isinstance(listed[name], dict) or listed[name].get("sha256") != found:
            _refuse(path, f"{name} has the wrong hash: it was damaged or changed")


def folders(pack: Pack) -> dict[str, list[str]]:
    """Return the artefacts of a pack: ``kind/digest`` -> its file names."""
    found: dict[str, list[str]] = {}
    for name in sorted(pack.manifest["files"]):
        place = PurePosixPath(name)
        found.setdefault(str(place.parent), []).append(place.name)
    return found
