"""Paths in sentences: as people write them, without what is only this machine's."""

from pathlib import Path


def shown_path(path: Path) -> str:
    """Return a path from the current folder or from home (``~``) if it lies there, else whole."""
    whole = path.expanduser().absolute()
    for start, sign in ((Path.cwd(), ""), (_home(), "~/")):
        if start is not None and start != whole and whole.is_relative_to(start):
            return f"{sign}{whole.relative_to(start).as_posix()}"
    return str(path)


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # a user without an entry
        return None
