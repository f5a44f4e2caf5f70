"""Sets of examples, run through one model that is loaded once, after all of them are tokenized."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import polars as pl

from gradpipe.conversations.examples import Example
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.response_alone import forward_losses, response_alone
from gradpipe.gradients.rows import Progress
from gradpipe.gradients.tokens import TokenRow, truncation_note
from gradpipe.models.find import find_model
from gradpipe.models.load import LoadedModel, load_source
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.source import AdapterReading, ModelSource
from gradpipe.standalone.model_encoder import encoder_of_model

_log = logging.getLogger(__name__)


class ExampleRunner:
    """Runs examples through the model that a user names; nothing is read before the first ones.

    Tokenize every set first: errors in examples are then raised before the weights are read.
    ``report`` is called with the progress of each extraction. ``tokenizer`` replaces the model's
    own. ``adapter`` is what is measured of an adapter, and ``base`` names its base, by default the
    one in its settings.
    """

    def __init__(
        self,
        model: str,
        protocol: Protocol,
        placement: Placement = IN_ONE_PIECE,
        report: Callable[[Progress], None] = lambda _: None,
        *,
        tokenizer: str | None = None,
        adapter: AdapterReading = "merged",
        base: str | None = None,
    ) -> None:
        self.protocol = protocol
        self._model = model
        self._placement = placement
        self._report = report
        self._tokenizer = tokenizer
        self._adapter = adapter
        self._base = base

    @cached_property
    def _source(self) -> ModelSource:
        base = None if self._base is None else (self._base, None)
        # The weights are checked when they are loaded: errors in examples come first.
        return find_model(
            self._model,
            base=base,
            adapter=self._adapter,
            tokenizer=self._tokenizer,
            weights=False,
        )

    @cached_property
    def _encoder(self) -> Encoder:
        encoder = encoder_of_model(self._model, self._source, self.protocol)
        for note in encoder.notes:
            _log.info("%s", note)
        return encoder

    @cached_property
    def _loaded(self) -> LoadedModel:
        return load_source(self._source, self._model, self.protocol.dtype, self._placement)

    def encode(
        self, examples: Sequence[Example], offset: int = 0, name: str = "row"
    ) -> list[TokenRow]:
        """Tokenize examples; log how many are cut to the window.

        In errors an example is called ``name`` with its number, counted from ``offset``. Raises
        ModelError or DataError.
        """
        names = [f"{name} {offset + number}" for number in range(len(examples))]
        rows = self._encoder.encode_all(examples, names)
        if truncated := truncation_note(rows, self._encoder.window):
            _log.warning("%s", truncated)
        return rows

    def spectra(
        self, rows: list[TokenRow], *, aligned: bool = True, sketched: bool = True
    ) -> Iterator[pl.DataFrame]:
        """Yield the spectra of tokenized examples, one frame of ROW_SCHEMA per batch.

        With ``aligned`` false, cosines and sketches are null; with ``sketched`` false, sketches
        are. Raises ModelError.
        """
        settings = {"aligned": aligned, "sketched": sketched}
        yield from extract_rows(self._loaded, rows, self.protocol, self._report, **settings)

    def losses_alone(self, rows: list[TokenRow]) -> list[float | None]:
        """The loss of each response without its instruction, or None."""
        tokenizer = self._encoder.tokenizer
        return forward_losses(self._loaded, [response_alone(row, tokenizer) for row in rows])


def runner_of_loaded(loaded: LoadedModel, protocol: Protocol) -> ExampleRunner:
    """The runner of a model that is in memory already."""
    runner = ExampleRunner(loaded.name, protocol)
    runner._encoder = Encoder(loaded.tokenizer, protocol, loaded.name, loaded.window)
    runner._loaded = loaded
    return runner
