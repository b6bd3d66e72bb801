"""The official Social-Chemistry-101 archive: fetched over https, resumed, checked, kept.

urllib instead of httpx: the project does not depend on httpx itself, and one stream of bytes needs
no more.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from filelock import Timeout

from core import CoreError
from core.runtime.progress import Report, silent
from core.runtime.store import Store, clear_disk_errors

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

_CHUNK: Final = 256 * 1024
_TIMEOUT: Final = 30.0
_ATTEMPTS: Final = 3
_LOCAL_HOSTS: Final = ("127.0.0.1", "::1", "localhost")


class FetchError(CoreError):
    """The archive could not be fetched."""


class _Broken(Exception):  # noqa: N818 - the signal to try again from where it broke
    """The connection ended early; the part on disk is good."""


class _Place(NamedTuple):
    """Where the bytes go."""

    part: Path
    """The bytes so far."""

    tag: Path
    """The server's mark of the version they belong to."""


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
    _check_url(url)
    place = _Place(final.with_suffix(".part"), final.with_suffix(".tag"))
    try:
        with clear_disk_errors(store.root), store.lock("download").acquire(timeout=0):
            final.parent.mkdir(parents=True, exist_ok=True)
            _fetch_all(url, place, report, final)
            place.part.replace(final)
            place.tag.unlink(missing_ok=True)
    except Timeout as error:
        raise FetchError(
            "Another window or process is fetching the archive right now. Wait until it is done."
        ) from error
    return final


def _by_hand(final: Path) -> str:
    return f"Or fetch {ARCHIVE_URL} in a browser, put it at {final.resolve()}, and try again."


def _check_url(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS):
        return
    raise FetchError(f"Only https addresses are fetched, not {url}.")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never away from https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetch_all(url: str, place: _Place, report: Report, final: Path) -> None:
    """Fetch until the part is whole; a connection that breaks is taken up again."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _fetch_once(url, place, report)
            break
        except _Broken as error:
            if attempt == _ATTEMPTS:
                done = _size(place.part) / 1e6
                raise FetchError(
                    f"The connection broke after {done:.1f} MB ({error}). What was fetched is "
                    f"kept: try again to go on. {_by_hand(final)}"
                ) from error
        except urllib.error.HTTPError as error:
            raise FetchError(
                f"The server answered {error.code} {error.reason}. Try again later. "
                f"{_by_hand(final)}"
            ) from error
        except urllib.error.URLError as error:
            raise FetchError(
                f"The archive cannot be reached ({error.reason}). Check the network and try "
                f"again. {_by_hand(final)}"
            ) from error
    _check_zip(place, final)


def _check_zip(place: _Place, final: Path) -> None:
    with place.part.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            return
    _forget(place)
    raise FetchError(
        f"The server sent something that is not a zip, perhaps a login page. {_by_hand(final)}"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _forget(place: _Place) -> None:
    place.part.unlink(missing_ok=True)
    place.tag.unlink(missing_ok=True)


def _fetch_once(url: str, place: _Place, report: Report) -> None:
    """Append what is missing to the part."""
    start = _size(place.part)
    request = urllib.request.Request(url, headers=_headers(place, start))
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(request, timeout=_TIMEOUT) as answer:
            _append(answer, place, start, report)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        _forget(place)
        raise _Broken("the part on disk was not the server's") from error
    except urllib.error.URLError as error:
        if start:
            raise _Broken(str(error.reason)) from error
        raise
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Broken(str(error) or type(error).__name__) from error


def _headers(place: _Place, start: int) -> dict[str, str]:
    """Ask for the rest only if the server still has the version the part belongs to."""
    headers = {"User-Agent": "moralscope", "Accept-Encoding": "identity"}
    tag = json.loads(place.tag.read_text())["tag"] if place.tag.exists() else ""
    if start and tag:
        headers |= {"Range": f"bytes={start}-", "If-Range": tag}
    return headers


def _append(answer: Any, place: _Place, start: int, report: Report) -> None:
    resumed = answer.status == HTTPStatus.PARTIAL_CONTENT and (
        answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    )
    done = start if resumed else 0
    total = done + int(answer.headers.get("Content-Length") or 0)
    _check_size(total, place)
    tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    place.tag.write_text(json.dumps({"tag": "" if tag.startswith("W/") else tag}))
    with place.part.open("ab" if resumed else "wb") as file:
        while block := answer.read(_CHUNK):
            file.write(block)
            done += len(block)
            _check_size(done, place)
            report(done, max(total, done), "Fetching the Social-Chemistry-101 archive")
    if done < total:
        raise _Broken(f"{done:,} of {total:,} bytes came")


def _check_size(size: int, place: _Place) -> None:
    if size > MAX_BYTES:
        _forget(place)
        raise FetchError(
            f"The server offers more than {MAX_BYTES / 1e6:.0f} MB, which is not the archive. "
            "Nothing was kept."
        )
