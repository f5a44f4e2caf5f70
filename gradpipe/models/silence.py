"""Silence transformers: callers show their own progress."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide progress bars of transformers and log only errors; restore both afterwards."""
    verbosity = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # It warns of quantized weights that are dequantized while they are loaded.
            warnings.filterwarnings("ignore", "You passed `quantization_config`")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
