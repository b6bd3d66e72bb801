"""Files that came through the browser, kept under their content so that they survive a restart."""

import hashlib
import re
from pathlib import Path
from uuid import uuid4

from core import CoreError
from core.runtime.store import Store, clear_disk_errors

#: Largest upload, also the server's limit in ``.streamlit/config.toml``.
MAX_BYTES = 200 * 2**20
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def keep_upload(store: Store, name: str, content: bytes) -> Path:
    """Write an upload into the store's folder and return where; the same content is written once.

    Args:
        store: Its folder keeps the file.
        name: The file's name as the browser told it; only its harmless characters are used.
        content: The file.

    Raises:
        CoreError: It is too large, or the disk is full or cannot be written.
    """
    if len(content) > MAX_BYTES:
        raise CoreError(
            f"{name} has {len(content) / 2**20:,.0f} MB; {MAX_BYTES // 2**20} MB at most. "
            "Name its path under 'A file on this machine' instead."
        )
    digest = hashlib.sha256(content).hexdigest()[:16]
    safe = _UNSAFE.sub("_", Path(name).name).lstrip(".")[-80:] or "table"
    folder = store.root / "uploads" / digest
    target = folder / safe
    with clear_disk_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.stat().st_size != len(content):
            # A name of its own: another browser may send the same file at this moment.
            part = folder / f".{uuid4().hex}.part"
            try:
                part.write_bytes(content)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
    return target
