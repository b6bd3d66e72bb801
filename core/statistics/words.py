"""What counts as a word: what is written together, or one character where a script has no blanks.

Chinese, Japanese, Thai, Lao, Burmese and Khmer part no words. There a letter with its marks stands
for a word, and short runs of letters for what words and pairs of words are elsewhere.
"""

import re
from collections.abc import Sequence
from typing import Final

#: Letters, syllables and marks of Han, Kana and Bopomofo: a word has one or two of them.
_SIGNS: Final = (
    "\u3005-\u3007\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
#: The same of Thai, Lao, Burmese and Khmer: a word has more.
_LETTERS: Final = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u109d\u1780-\u17d3"
    "\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"
)
_LETTER: Final = re.compile(rf"[{_LETTERS}]")
#: One of either with its marks, which are no letters to ``\w``.
_UNIT: Final = rf"(?=\w)[{_SIGNS}{_LETTERS}](?:(?!\w)[{_SIGNS}{_LETTERS}])*"
_BLANKLESS: Final = re.compile(_UNIT)

#: A word as a pattern.
WORD: Final = rf"{_UNIT}|(?:(?![{_SIGNS}{_LETTERS}])\w)+"
_WORD: Final = re.compile(WORD)
#: Words of a term, at most; and letters, where a word has several.
_PAIR, _RUN = 2, 4


def terms(text: str) -> list[str]:
    """Return single words and pairs of words, in lower case, with their repeats.

    Of letters of a script without blanks there are runs of three and four as well.
    """
    words = _WORD.findall(text.lower())
    lettered = [_LETTER.match(word) is not None for word in words]
    return [
        " ".join(words[start : start + size])
        for size in range(1, _RUN + 1)
        for start in range(len(words) - size + 1)
        if size <= _PAIR or all(lettered[start : start + size])
    ]


def count_words(text: str) -> int:
    """Return how many words blanks part; where a script has none, how many words there are."""
    return len(_WORD.findall(text) if _BLANKLESS.search(text) else text.split())


def counting_key(texts: Sequence[str]) -> dict[str, str]:
    """Return what belongs into the key of figures from words: nothing where blanks part them all.

    Figures of other texts were made from pieces between blanks before, so they have another key.
    """
    blankless = any(_BLANKLESS.search(text) for text in texts if not text.isascii())
    return {"words": "characters"} if blankless else {}
