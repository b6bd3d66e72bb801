"""The official Social-Chemistry-101 archive: fetched over https, resumed, checked, kept."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from filelock import Timeout

from core import CoreError
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent
from core.runtime.store import Store, clear_disk_errors

if TYPE_CHECKING:
    import httpx2

#: As linked from https://github.com/mbforbes/social-chemistry-101 (README, section Data).
ARCHIVE_URL: Final = (
    "https://storage.googleapis.com/ai2-mosaic-public/projects/social-chemistry/data/"
    "social-chem-101.zip"
)
ARCHIVE_FILE: Final = "social-chem-101.zip"
#: The archive has 27.6 MB; more than this is not the archive.
MAX_BYTES: Final = 200 * 10**6
LICENCE: Final = "CC BY-SA 4.0"
LICENCE_URL: Final = "https://creativecommons.org/licenses/by-sa/4.0/"
CITATION: Final = (
    "Maxwell Forbes, Jena D. Hwang, Vered Shwartz, Maarten Sap, Yejin Choi: Social Chemistry 101: "
    "Learning to Reason about Social and Moral Norms. EMNLP 2020."
)

#: What the paper's filter keeps of the official table: annotations, and rows by foundation.
PUBLISHED: Final = (203_431, 251_334)

_TIMEOUT: Final = 30.0
_ATTEMPTS: Final = 3
_LOCAL_HOSTS: Final = ("127.0.0.1", "::1", "localhost")


class FetchError(CoreError):
    """The archive could not be fetched."""


class _Place(NamedTuple):
    """Where the bytes go."""

    part: Path
    """The bytes so far."""

    tag: Path
    """The server's mark of the version they belong to."""

    by_hand: str
    """What a person can do instead."""

    def size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


def archive_path(store: Store) -> Path:
    """Return where the archive lies or would lie; a copy put there by hand is used as well."""
    return store.root / "downloads" / ARCHIVE_FILE


def fetch(store: Store, report: Report = silent, *, url: str = ARCHIVE_URL) -> Path:
    """Return the archive, fetching it if it is not there; a broken fetch goes on where it stopped.

    Args:
        store: Its folder keeps the archive.
        report: Told bytes done and bytes in all; may cancel, what was fetched stays.
        url: https, or http on this machine.

    Raises:
        FetchError: No network, a wrong answer, or too many bytes; it says how to do it by hand.
        CacheError: The disk is full or cannot be written.
    """
    final = archive_path(store)
    if final.is_file():
        return final
    by_hand = f"Or fetch {ARCHIVE_URL} in a browser, put it at {shown_path(final)}, and try again."
    place = _Place(final.with_suffix(".part"), final.with_suffix(".tag"), by_hand)
    try:
        with clear_disk_errors(store.root), store.lock("download").acquire(timeout=0):
            final.parent.mkdir(parents=True, exist_ok=True)
            _fetch_all(url, place, report)
            _check_zip(place)
            place.part.replace(final)
            place.tag.unlink(missing_ok=True)
    except Timeout as error:
        raise FetchError(
            "Another window or process is fetching the archive right now. Wait until it is done."
        ) from error
    return final


def _fetch_all(url: str, place: _Place, report: Report) -> None:
    """Fetch until the part is whole; a connection that breaks is taken up again."""
    import httpx2

    broken = (httpx2.ReadError, httpx2.ReadTimeout, httpx2.RemoteProtocolError)
    with httpx2.Client(
        headers={"User-Agent": "moralscope", "Accept-Encoding": "identity"},
        timeout=_TIMEOUT,
        follow_redirects=True,
        event_hooks={"request": [_check_url]},  # called for every redirect, too
    ) as client:
        for left in reversed(range(_ATTEMPTS)):
            try:
                with client.stream("GET", url, headers=_range(place)) as answer:
                    _append(answer, place, report)
                break
            except httpx2.RequestError as error:
                if not place.size() and not isinstance(error, broken):
                    raise FetchError(
                        f"The archive cannot be reached ({error}). Check the network and try "
                        f"again. {place.by_hand}"
                    ) from error
                if not left:
                    raise FetchError(
                        f"The connection broke after {place.size() / 1e6:.1f} MB "
                        f"({str(error) or type(error).__name__}). What was fetched is kept: try "
                        f"again to go on. {place.by_hand}"
                    ) from error


def _check_url(request: "httpx2.Request") -> None:
    url = request.url
    if url.scheme != "https" and (url.scheme != "http" or url.host not in _LOCAL_HOSTS):
        raise FetchError(f"Only https addresses are fetched, not {url}.")


def _range(place: _Place) -> dict[str, str]:
    """Ask for the rest only if the server still has the version the part belongs to."""
    start = place.size()
    tag = json.loads(place.tag.read_text())["tag"] if place.tag.exists() else ""
    return {"Range": f"bytes={start}-", "If-Range": tag} if start and tag else {}


def _append(answer: "httpx2.Response", place: _Place, report: Report) -> None:
    """Append what is missing to the part."""
    import httpx2

    if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        place.forget()
        raise httpx2.RemoteProtocolError("the part on disk was not the server's")
    if not answer.is_success:
        raise FetchError(
            f"The server answered {answer.status_code} {answer.reason_phrase}. Try again later. "
            f"{place.by_hand}"
        )
    done = place.size()
    resumed = answer.status_code == HTTPStatus.PARTIAL_CONTENT and (
        answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    )
    done = done if resumed else 0
    total = done + int(answer.headers.get("Content-Length") or 0)
    _check_size(total, place)
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    place.tag.write_text(json.dumps({"tag": "" if tag.startswith("W/") else tag}))
    with place.part.open("ab" if resumed else "wb") as file:
        try:
            for block in answer.iter_raw():  # as they come: none is lost when the next one breaks
                file.write(block)
                done += len(block)
                _check_size(done, place)
                report(done, max(total, done), "Fetching the Social-Chemistry-101 archive")
        except httpx2.RemoteProtocolError as error:
            if done >= total:
                raise
            raise httpx2.RemoteProtocolError(f"{done:,} of {total:,} bytes came") from error


def _check_size(size: int, place: _Place) -> None:
    if size > MAX_BYTES:
        place.forget()
        raise FetchError(
            f"The server offers more than {MAX_BYTES / 1e6:.0f} MB, which is not the archive. "
            "Nothing was kept."
        )


def _check_zip(place: _Place) -> None:
    with place.part.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return
    place.forget()
    raise FetchError(
        f"The server sent something that is not a zip, perhaps a login page. {place.by_hand}"
    )
