"""A judge behind any OpenAI-compatible address: hosted, or llama.cpp, vLLM, Ollama on this machine.

Address and key come from the environment alone and are never stored, shown or logged.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from core import CoreError
from core.evaluation.judging import Asked, asking, label_of
from core.evaluation.verdicts import Label
from core.runtime.progress import Report
from core.runtime.store import fingerprint
from core.wording import duration

if TYPE_CHECKING:
    import openai

URL: Final = "MORALSCOPE_JUDGE_URL"
KEY: Final = "MORALSCOPE_JUDGE_KEY"
#: Tokens of a reply: one word, and room for a model that says a little more.
_TOKENS: Final = 12
_LOCAL: Final = ("127.0.0.1", "::1", "localhost")
#: Characters per token, about: for the estimate before it starts.
_PER_TOKEN: Final = 4
_RETRIES: Final = 4
#: Seconds of a request, about: for the estimate before it starts.
_EACH: Final = 1.0
#: Seconds that are waited where a server asks for it; one that asks for more is left alone.
MOST_WAIT: Final = 600.0
_STEP: Final = 0.25
MOST_PER_MINUTE: Final = 10_000
#: Statuses that may be over in a while, beside those from 500 on.
_PASSING: Final = (408, 409, 429)


class Prices(NamedTuple):
    """What tokens cost, in any one currency per million."""

    read: float
    """Those that are sent."""

    written: float
    """Those that come back."""


class Bill(NamedTuple):
    """What asking takes, before it starts; tokens and time are estimates."""

    requests: int
    """Showings that were not judged before; a failed one is sent again."""

    read: int
    """Tokens sent."""

    written: int
    """Tokens that come back at most."""

    seconds: float
    """Time."""

    money: float
    """In the currency of the prices; NaN without them."""

    @property
    def told(self) -> str:
        """The same in words."""
        cost = (
            "" if math.isnan(self.money) else f" They cost about {self.money:,.2f} at your prices."
        )
        return (
            f"{self.requests:,} requests, about {self.read:,} tokens sent and at most "
            f"{self.written:,} back, about {duration(self.seconds)}.{cost}"
        )


_KEPT: Final = "What was judged is kept: start again to go on."


class JudgeError(CoreError):
    """A judge cannot be asked."""


class EndpointJudge:
    """A chat model behind an address."""

    def __init__(
        self,
        model: str,
        *,
        timeout: float = 60.0,
        retries: int = _RETRIES,
        per_minute: int | None = None,
    ) -> None:
        """Take address and key from the environment.

        Args:
            model: Its name there.
            timeout: Seconds after which an answer is given up.
            retries: Times that a failed request is sent again, ever later, or when the server says.
            per_minute: Requests that are sent in a minute at most; None: one after the other.

        Raises:
            JudgeError: There is no address, it is not https, no key for another machine, or no
                such number of requests.
        """
        url, key = os.environ.get(URL, "").strip(), os.environ.get(KEY, "").strip()
        if not url:
            raise JudgeError(
                f"No judge's address is set. Put it into the environment as {URL}, such as "
                f"http://127.0.0.1:8080/v1, and its key as {KEY}; then start again."
            )
        place = urlsplit(url)
        local = place.hostname in _LOCAL
        if place.scheme != "https" and not (place.scheme == "http" and local):
            raise JudgeError(f"{URL} must be an https address, or http on this machine.")
        if not key and not local:
            raise JudgeError(f"{place.hostname} wants a key. Put it into the environment as {KEY}.")
        self._model, self._url, self._timeout = model, url, timeout
        if per_minute is not None and not 1 <= per_minute <= MOST_PER_MINUTE:
            raise JudgeError(f"Requests per minute must lie between 1 and {MOST_PER_MINUTE:,}.")
        self._retries, self._gap = retries, 60 / per_minute if per_minute else 0.0
        self._free = 0.0  # when the next request may be sent, on the monotonic clock
        self._secret = key or "none"

    @property
    def name(self) -> str:
        """What tables call it."""
        return self._model

    @property
    def key(self) -> Mapping[str, Any]:
        """Host, model and what is asked; the key is no part of it."""
        return {
            "judge": "endpoint",
            "host": urlsplit(self._url).hostname,
            "model": self._model,
            "words": fingerprint(asking(Asked("paper", "", "", ""))),
        }

    def bill(self, showings: Sequence[Asked], prices: Prices | None = None) -> Bill:
        """Return what asking about some showings takes.

        Args:
            showings: Those that were not judged before.
            prices: What tokens cost, if it is known.
        """
        read = sum(math.ceil(len(asking(one)) / _PER_TOKEN) for one in showings)
        written = _TOKENS * len(showings)
        money = math.nan
        if prices is not None:
            money = (prices.read * read + prices.written * written) / 1e6
        return Bill(len(showings), read, written, len(showings) * max(_EACH, self._gap), money)

    def labels(self, showings: Sequence[Asked], report: Report) -> Iterator[Label | None]:
        """Yield what it says of each showing; None where its reply names no answer.

        Raises:
            JudgeError: It cannot be reached, refuses the key, or answers what is no chat.
        """
        if not showings:
            return
        import openai

        client = openai.OpenAI(
            base_url=self._url,
            api_key=self._secret,
            timeout=self._timeout,
            max_retries=0,  # its own waits cannot be cancelled
        )
        with client:
            for number, one in enumerate(showings):

                def say(note: str, number: int = number) -> None:
                    report(number, len(showings), note)

                say(f"{self._model} judges · {number}")
                yield label_of(self._reply(client, one, say))

    def _reply(self, client: "openai.OpenAI", showing: Asked, say: Callable[[str], None]) -> str:
        """Return a reply; what may pass is asked again, when the server says or ever later."""
        import openai

        for tried in range(self._retries + 1):
            self._wait(say)
            self._free = time.monotonic() + self._gap
            try:
                return self._once(client, showing)
            except openai.OpenAIError as error:
                if tried == self._retries or not _passes(error):
                    raise self._told(error) from error
                self._free = max(self._free, time.monotonic() + self._delay(error, tried))
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                raise self._told(error) from error
        raise AssertionError("the last try returns or raises")

    def _once(self, client: "openai.OpenAI", showing: Asked) -> str:
        answer: Any = client.chat.completions.create(
            model=self._model,
            messages=[{"role": "user", "content": asking(showing)}],
            temperature=0,
            max_tokens=_TOKENS,
        )
        return str(answer.choices[0].message.content or "")

    def _wait(self, say: Callable[[str], None]) -> None:
        """Wait until a request may be sent; ``say`` may cancel."""
        while (left := self._free - time.monotonic()) > 0:
            if left > 1:
                say(f"{self._model} judges again in {duration(math.ceil(left))}")
            else:
                say(f"{self._model} judges")
            time.sleep(min(left, _STEP))

    def _delay(self, error: Exception, tried: int) -> float:
        """Return for how long to wait: as the server says, else ever longer.

        Raises:
            JudgeError: It asks for longer than anyone waits.
        """
        wanted = _retry_after(error)
        if wanted is None:
            return float(min(0.5 * 2**tried, 8.0))
        if wanted > MOST_WAIT:
            told = f"{self._host} asks to be left alone for {duration(wanted)}. Start again then."
            raise JudgeError(f"{told} {_KEPT}") from error
        return wanted

    @property
    def _host(self) -> str:
        return str(urlsplit(self._url).hostname)

    def _told(self, error: Exception) -> JudgeError:
        """Return what a failure means."""
        import openai

        host = self._host
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return JudgeError(f"{host} refuses the key. Check {KEY}. {_KEPT}")
        if isinstance(error, openai.NotFoundError):
            return JudgeError(
                f"{host} knows no model {self._model!r}, or {URL} lacks its /v1. {_KEPT}"
            )
        if isinstance(error, openai.RateLimitError):
            return JudgeError(
                f"{host} still limits requests after {self._retries} tries. Wait a while, or send "
                f"fewer requests per minute. {_KEPT}"
            )
        if isinstance(error, openai.APIConnectionError):
            return JudgeError(f"{host} cannot be reached. Check {URL}. {_KEPT}")
        if isinstance(error, openai.APIStatusError):
            return JudgeError(f"{host} answers with status {error.status_code}. {_KEPT}")
        return JudgeError(
            f"{host} does not answer as an OpenAI-compatible chat does. Check {URL}. {_KEPT}"
        )


def _passes(error: Exception) -> bool:
    """Tell whether a failure may be over in a while."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.status_code in _PASSING or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError)


def _retry_after(error: Exception) -> float | None:
    """Return the seconds that a server asks to wait, from a number or a date; None: it does not."""
    import openai

    if not isinstance(error, openai.APIStatusError):
        return None
    told = error.response.headers.get("retry-after", "")
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
