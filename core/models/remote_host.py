"""Where remote models run, and the key for it: from the environment alone, never written down."""

import os
from typing import Final

from core.models.spec import ModelError

#: Environment variables: the key, and another server than NDIF's.
KEY_NAME: Final = "NDIF_API_KEY"
HOST_NAME: Final = "NDIF_HOST"
DEFAULT_HOST: Final = "https://api.ndif.us"


def host() -> str:
    """Return the server's address."""
    return os.environ.get(HOST_NAME) or DEFAULT_HOST


def key() -> str:
    """Return the key.

    Raises:
        ModelError: There is none.
    """
    found = os.environ.get(KEY_NAME, "").strip()
    if not found:
        raise ModelError(
            f"Remote models run on {host()}, which asks for a key. Set the environment variable "
            f"{KEY_NAME} (keys: https://login.ndif.us) and start again, or leave remote out."
        )
    return found
