"""What runs in a process of its own, on whichever machine: one model and the rows it is given."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradpipe.errors import GradpipeError, ModelError, connection_failed
from gradpipe.system.cpu_settings import set_up_cpu

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.placement import Placement
    from gradpipe.models.source import ModelSource


@dataclass(frozen=True)
class ModelOrder:
    """Which model an actor has: ``fingerprint`` is what it has to be on every machine."""

    source: ModelSource
    name: str
    fingerprint: str
    dtype: str
    placement: Placement

    def load(self) -> LoadedModel:
        """The model; raises ModelError where it cannot be loaded or is another one here."""
        from gradpipe.models.load import load_source

        loaded = load_source(self.source, self.name, self.dtype, self.placement)
        if loaded.fingerprint != self.fingerprint:
            raise ModelError(
                f"The files of {self.name!r} on {platform.node()} are not those of the machine "
                f"that started the run: put the same ones at {self.source.id} on every machine."
            )
        return loaded


class Extractor:
    """One model, and the gradients of the shards that are handed to it.

    What goes wrong is returned rather than raised: it crosses to the other process as it is.
    """

    def __init__(self, order: ModelOrder) -> None:
        set_up_cpu()
        self._order = order
        self._loaded: LoadedModel | None = None

    def load(self) -> tuple[int, str] | GradpipeError:
        """Load the model; this process's id and its machine's name."""
        try:
            self._loaded = self._order.load()
        # Of whatever kind: the process itself is well.
        except Exception as error:
            return in_words(error)
        return os.getpid(), platform.node()

    def extract(
        self, examples: pl.DataFrame, protocol: Protocol, append: Callable[[pl.DataFrame], None]
    ) -> Iterator[list[str] | GradpipeError]:
        """Append the rows of ``examples`` batch by batch; yields the keys that are in the store."""
        from gradpipe.gradients.examples import extract_examples

        try:
            assert self._loaded is not None, "load() comes first"
            for rows in extract_examples(self._loaded, examples, protocol):
                append(rows)
                yield rows["key"].to_list()
        except Exception as error:
            yield in_words(error)


def in_words(error: Exception) -> GradpipeError:
    """An error that can be pickled and read: gradpipe's own as they are, others with their kind."""
    if isinstance(error, GradpipeError):
        return type(error)(str(error), transient=error.transient)
    text = " ".join(str(error).split())
    return GradpipeError(
        f"A process on {platform.node()} failed with {type(error).__name__}"
        + (f": {text}" if text else ""),
        transient=connection_failed(error),
    )
