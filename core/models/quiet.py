"""Keeps what libraries print about models off the screen: what matters in it we tell ourselves."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars, reports and advice to programmers off the screen."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def ignore_names() -> None:
    """Keep nnsight from warning of modules named ``output``, as BERT has them in every layer.

    For the life of the process: a filter taken back would take back those of other threads.
    """
    warnings.filterwarnings("ignore", r"Module '.*' has a submodule named '", UserWarning)
