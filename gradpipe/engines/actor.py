"""The Ray actor: a process that loads one model and computes its assigned rows."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradpipe.errors import GradpipeError, ModelError
from gradpipe.system.cpu_settings import set_up_cpu
from gradpipe.system.failures import connection_failed
from gradpipe.system.pipeline_path import add_pipeline_to_path

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.gradients.protocol import Protocol
    from gradpipe.models.load import LoadedModel
    from gradpipe.models.placement import Placement
    from gradpipe.models.source import ModelSource


@dataclass(frozen=True)
class ModelOrder:
    """The model of an actor: ``fingerprint`` must match on every machine."""

    source: ModelSource
    name: str
    fingerprint: str
    dtype: str
    placement: Placement

    def load(self) -> LoadedModel:
        """Load the model; raises ModelError if loading fails or the fingerprint differs."""
        from gradpipe.models.load import load_source

        loaded = load_source(self.source, self.name, self.dtype, self.placement)
        if loaded.fingerprint != self.fingerprint:
            raise ModelError(
                f"The files of {self.name!r} on {platform.node()} are not those of the machine "
                f"that started the run: put the same ones at {self.source.id} on every machine."
            )
        return loaded


class Extractor:
    """Hold one model and compute the gradients of assigned shards.

    Errors are returned, not raised, so they reach the other process unchanged.
    """

    def __init__(self, order: ModelOrder) -> None:
        set_up_cpu()
        # Before the first task: its arguments are unpickled from the pipeline's packages.
        add_pipeline_to_path()
        self._order = order
        self._loaded: LoadedModel | None = None

    def load(self) -> tuple[int, str] | GradpipeError:
        """Load the model and return the process id and the machine's name."""
        try:
            self._loaded = self._order.load()
        # Catch every kind of error: the process itself is healthy.
        except Exception as error:
            return picklable_error(error)
        return os.getpid(), platform.node()

    def extract(
        self,
        examples: pl.DataFrame,
        protocol: Protocol,
        append: Callable[[pl.DataFrame], None],
        budget: int | None = None,
    ) -> Iterator[list[str] | GradpipeError]:
        """Append the rows of ``examples`` batch by batch; yield the stored keys."""
        from gradpipe.gradients.examples import extract_examples

        try:
            assert self._loaded is not None, "load() comes first"
            for rows in extract_examples(self._loaded, examples, protocol, budget=budget):
                append(rows)
                yield rows["key"].to_list()
        except Exception as error:
            yield picklable_error(error)


def picklable_error(error: Exception) -> GradpipeError:
    """Return a picklable error: gradpipe's own unchanged, others as text with their type."""
    if isinstance(error, GradpipeError):
        return type(error)(str(error), transient=error.transient)
    text = " ".join(str(error).split())
    return GradpipeError(
        f"A process on {platform.node()} failed with {type(error).__name__}"
        + (f": {text}" if text else ""),
        transient=connection_failed(error),
    )
