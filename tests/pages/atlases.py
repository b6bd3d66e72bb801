"""What flat maps and their legend are given on a page."""

import base64
import json
import re
from typing import Any

import numpy as np


def mounted(app: Any) -> dict[str, dict[str, Any]]:
    """Return what each mount of a component is given, by its key."""
    return {
        re.sub(r"^\$\$ID-[0-9a-f]+-", "", one.proto.id): json.loads(one.proto.json)
        for one in app.get("bidi_component")
    }


def maps(app: Any) -> dict[str, dict[str, Any]]:
    """Return the flat maps of a page by key; places ``(n, 2)`` and what colours them decoded."""
    return {
        key: one
        | {
            "places": numbers(one["places"], "<f4").reshape(-1, 2),
            "category": numbers(one["category"], "u1"),
        }
        for key, one in mounted(app).items()
        if key.startswith("chart-")
    }


def numbers(text: str, kind: str) -> np.ndarray:
    """Return numbers that travel as base64."""
    return np.frombuffer(base64.b64decode(text), kind)
