"""Words of people and models as they stand in labels, which Streamlit reads as Markdown."""

import re
from typing import Final

_MARKS: Final = re.compile(r"([\\\\`*_{}\[\]()#+\-.!|~$:<>&])")


def plain(text: str) -> str:
    """Return text that a label shows as it stands: no link, picture, colour or formula."""
    return _MARKS.sub(r"\\\1", text)
