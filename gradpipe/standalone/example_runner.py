"""Sets of examples, run through one model that is loaded once, after all of them are tokenized."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import polars as pl

from gradpipe.conversations.examples import Example, TokenIds, texts_of
from gradpipe.engines.actor import ModelOrder
from gradpipe.gradients.encoder import Encoder, overlong_error
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.response_alone import forward_losses, response_alone
from gradpipe.gradients.row_identity import row_identity
from gradpipe.gradients.rows import Progress
from gradpipe.gradients.tokens import TokenRow, truncation_note
from gradpipe.models.find import find_model
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import LoadedModel, load_source
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.source import AdapterReading, ModelSource
from gradpipe.standalone.example_keys import ExampleKeys
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

    @property
    def keys(self) -> ExampleKeys:
        """Makes the keys of examples for this model; its files are hashed. Raises ModelError."""
        protocol = self.protocol.for_model(self._model)
        identity = row_identity(self._source, fingerprint(self._source), protocol)
        return ExampleKeys(protocol=protocol, identity=identity)

    @property
    def order(self) -> ModelOrder:
        """The model, for the processes of an engine."""
        return ModelOrder(
            source=self._source,
            name=self._model,
            fingerprint=fingerprint(self._source),
            dtype=self.protocol.dtype,
            placement=self._placement,
        )

    @property
    def model(self) -> str:
        """The model's name as the user wrote it."""
        return self._model

    @property
    def window(self) -> int:
        """The most tokens of an example."""
        return self._encoder.window

    def overlong(self) -> OverlongResponses:
        """Looks for responses that ``encode`` would refuse."""
        return OverlongResponses(lambda: self._encoder, self.protocol)

    def encode(
        self,
        examples: Sequence[Example],
        offset: int = 0,
        name: str = "row",
        *,
        numbers: Sequence[int] | None = None,
        note: bool = True,
    ) -> list[TokenRow]:
        """Tokenize examples; with ``note``, log how many are cut to the window.

        In errors an example is called ``name`` with its number: that of ``numbers``, or counted
        from ``offset``. Raises ModelError or DataError.
        """
        numbers = range(offset, offset + len(examples)) if numbers is None else numbers
        names = [f"{name} {number}" for number in numbers]
        rows = self._encoder.encode_all(examples, names)
        if note and (truncated := truncation_note(rows, self._encoder.window)):
            _log.warning("%s", truncated)
        return rows

    def spectra(
        self,
        rows: list[TokenRow],
        *,
        aligned: bool = True,
        sketched: bool = True,
        report: Callable[[Progress], None] | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Yield the spectra of tokenized examples, one frame of ROW_SCHEMA per batch.

        With ``aligned`` false, cosines and sketches are null; with ``sketched`` false, sketches
        are. ``report`` is called instead of the runner's own. Raises ModelError.
        """
        settings = {"aligned": aligned, "sketched": sketched}
        yield from extract_rows(
            self._loaded, rows, self.protocol, report or self._report, **settings
        )

    def losses_alone(self, rows: list[TokenRow]) -> list[float | None]:
        """The loss of each response without its instruction, or None."""
        tokenizer = self._encoder.tokenizer
        return forward_losses(self._loaded, [response_alone(row, tokenizer) for row in rows])


class OverlongResponses:
    """Finds the responses of a stream of examples that the protocol refuses as too long.

    Only those with more bytes than half the window has tokens are tokenized.
    """

    def __init__(self, encoder: Callable[[], Encoder], protocol: Protocol) -> None:
        self._encoder = encoder
        self._refused = protocol.overlong == "refuse"
        self._lengths: dict[str, int] = {}
        self._rows = 0

    def look_at(self, examples: Sequence[Example], numbers: Sequence[int]) -> None:
        """Look at examples, whose numbers in the data are ``numbers``; raises ModelError."""
        self._rows += len(examples)
        if not self._refused:
            return
        encoder = self._encoder()
        for number, example in zip(numbers, examples, strict=True):
            text = texts_of(example)[1] or ""
            size = (
                len(example.ids)
                if isinstance(example, TokenIds)
                else 2 * len(text.encode(errors="replace"))
            )
            if size <= encoder.window or not encoder.encode(example).truncated:
                continue
            length = encoder.response_length(example)
            if length > encoder.window:
                self._lengths[f"row {number}"] = length

    def refuse(self) -> None:
        """Raise DataError if there was such a response."""
        if self._lengths:
            raise overlong_error(self._lengths, self._rows, self._encoder().window)


def _most_tokens(example: Example) -> int:
    """More tokens than the response of an example has."""
    if isinstance(example, TokenIds):
        return len(example.ids)
    return 2 * len((texts_of(example)[1] or "").encode(errors="replace"))


def runner_of_loaded(loaded: LoadedModel, protocol: Protocol) -> ExampleRunner:
    """The runner of a model that is in memory already."""
    runner = ExampleRunner(loaded.name, protocol)
    runner._encoder = Encoder(loaded.tokenizer, protocol, loaded.name, loaded.window)
    runner._loaded = loaded
    return runner
