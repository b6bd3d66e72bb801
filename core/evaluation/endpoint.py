"""A judge behind any OpenAI-compatible address: hosted, or llama.cpp, vLLM, Ollama on this machine.

Address and key come from the environment alone and are never stored, shown or logged.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from core import CoreError
from core.evaluation.judging import Asked, asking, label_of
from core.evaluation.verdicts import Label
from core.runtime.progress import Report
from core.runtime.store import fingerprint

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


class JudgeError(CoreError):
    """A judge cannot be asked."""


class EndpointJudge:
    """A chat model behind an address."""

    def __init__(self, model: str, *, timeout: float = 60.0, retries: int = _RETRIES) -> None:
        """Take address and key from the environment.

        Args:
            model: Its name there.
            timeout: Seconds after which an answer is given up.
            retries: Times that a failed request is sent again, ever later.

        Raises:
            JudgeError: There is no address, it is not https, or no key for another machine.
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
        self._retries = retries
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

    def tokens(self, showings: Sequence[Asked]) -> int:
        """Return about how many tokens these showings take: what they cost depends on the price."""
        return sum(len(asking(one)) // _PER_TOKEN + _TOKENS for one in showings)

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
            max_retries=self._retries,
        )
        with client:
            for number, one in enumerate(showings):
                report(number, len(showings), f"{self._model} judges · {number}")
                yield label_of(self._reply(client, one))

    def _reply(self, client: "openai.OpenAI", showing: Asked) -> str:
        import openai

        host = urlsplit(self._url).hostname
        kept = "What was judged is kept: start again to go on."
        try:
            answer: Any = client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": asking(showing)}],
                temperature=0,
                max_tokens=_TOKENS,
            )
            return str(answer.choices[0].message.content or "")
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise JudgeError(f"{host} refuses the key. Check {KEY}. {kept}") from error
        except openai.NotFoundError as error:
            raise JudgeError(
                f"{host} knows no model {self._model!r}, or {URL} lacks its /v1. {kept}"
            ) from error
        except openai.RateLimitError as error:
            raise JudgeError(
                f"{host} still limits requests after {self._retries} tries. Wait a while. {kept}"
            ) from error
        except openai.APIConnectionError as error:
            raise JudgeError(f"{host} cannot be reached. Check {URL}. {kept}") from error
        except openai.APIStatusError as error:
            raise JudgeError(f"{host} answers with status {error.status_code}. {kept}") from error
        except (openai.OpenAIError, AttributeError, IndexError, TypeError, ValueError) as error:
            raise JudgeError(
                f"{host} does not answer as an OpenAI-compatible chat does. Check {URL}. {kept}"
            ) from error
