"""Flames' published prompts: fetched on request from their public repository, kept in the cache.

1,000 adversarial prompts in Chinese (Huang et al. 2024, NAACL); they are never part of the project.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from core import CoreError
from core.evaluation.prompts import PromptSet, read_prompts
from core.runtime.made import Made
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent
from core.runtime.store import Store, clear_disk_errors

#: The one published version, by its commit.
URL: Final = (
    "https://raw.githubusercontent.com/AIFlames/Flames/afa088def8ed8af2726d510019846683915b8811/"
    "Flames_1k_Chinese.jsonl"
)
NAME: Final = "flames"
LICENCE: Final = "Apache-2.0"
CITATION: Final = (
    "Kexin Huang, Xiangyang Liu, Qianyu Guo, Tianxiang Sun, Jiawei Sun, Yaru Wang, et al.: Flames: "
    "Benchmarking Value Alignment of LLMs in Chinese. NAACL 2024."
)
PROMPTS: Final = 1000
_MOST_BYTES: Final = 5 * 10**6
_TIMEOUT: Final = 30.0
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")


class FlamesError(CoreError):
    """The prompts could not be fetched."""


def kept_file(store: Store) -> Path:
    """Return where the file lies once it was fetched; one put there by hand is used as well."""
    return store.root / "downloads" / "Flames_1k_Chinese.jsonl"


def flames(store: Store) -> PromptSet | None:
    """Return the prompts if they are here."""
    path = kept_file(store)
    return replace(read_prompts(path), word=NAME) if path.is_file() else None


def fetching(store: Store) -> Made[PromptSet]:
    """Return the prompts as something that can be fetched in a job."""
    return Made(
        NAME,
        {"fetch": NAME},
        has=lambda: kept_file(store).is_file(),
        open=lambda: flames(store),
        make=lambda report: fetch_flames(store, report),
        title="Fetching Flames",
        lane="data",
    )


def fetch_flames(store: Store, report: Report = silent, *, url: str = URL) -> PromptSet:
    """Return the prompts, fetched if they are not here.

    Args:
        store: Its folder keeps the file.
        report: Told bytes; may cancel.
        url: https, or http on this machine.

    Raises:
        FlamesError: No network, too many bytes, or another file than the published one.
        CacheError: The disk is full or cannot be written.
    """
    found = flames(store)
    if found is not None:
        return found
    path = kept_file(store)
    by_hand = f"Or fetch {URL} in a browser and put it at {shown_path(path)}."
    data = _fetched(url, by_hand, report)
    with clear_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".part.jsonl")
        new.write_bytes(data)
    try:
        found = read_prompts(new)
        if len(found) != PROMPTS:
            raise FlamesError(
                f"The server sent {len(found)} prompts where Flames has {PROMPTS:,}. {by_hand}"
            )
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return replace(read_prompts(path), word=NAME)


def _fetched(url: str, by_hand: str, report: Report) -> bytes:
    import httpx2

    place = urlsplit(url)
    if place.scheme != "https" and not (place.scheme == "http" and place.hostname in _LOCAL):
        raise FlamesError(f"Only https addresses are fetched, not {url}.")
    blocks, done = [], 0
    try:
        with httpx2.stream("GET", url, timeout=_TIMEOUT) as answer:
            if not answer.is_success:
                raise FlamesError(f"The server answered {answer.status_code}. {by_hand}")
            for block in answer.iter_bytes():
                blocks.append(block)
                done += len(block)
                report(done, _MOST_BYTES, "Fetching Flames")
                if done > _MOST_BYTES:
                    raise FlamesError(f"The server sends more than Flames has. {by_hand}")
    except httpx2.RequestError as error:
        raise FlamesError(f"Flames cannot be reached ({error}). {by_hand}") from error
    return b"".join(blocks)
