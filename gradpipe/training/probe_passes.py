"""Passes of a probe set through a model in training."""

from __future__ import annotations

import logging
from typing import Any

import polars as pl
from torch import nn

from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.encoder import Encoder
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.tokens import TokenRow, truncation_note
from gradpipe.models.adapters.wrappers import without_shell
from gradpipe.models.devices import input_device
from gradpipe.models.load import LoadedModel, model_window
from gradpipe.models.projections import find_projections
from gradpipe.models.refusals import refuse_model
from gradpipe.models.source import AdapterReading
from gradpipe.training.probe_set import ProbeSet
from gradpipe.training.undisturbed import undisturbed
from gradpipe.training.wrapped_models import unwrapped

_log = logging.getLogger(__name__)


class ProbePasses:
    """Runs a probe set through a model; it is tokenized once, by the first tokenizer.

    With ``recorded_as``, the rows are kept in a workspace under this name of the model: they must
    then be of the precision that the protocol says. ``notes`` are those of the encoder.
    """

    def __init__(
        self,
        probe_set: ProbeSet,
        recorded_as: str | None = None,
        adapter: AdapterReading = "merged",
    ) -> None:
        self.probe_set = probe_set
        self._adapter = adapter
        self.notes: list[str] = []
        self._recorded_as = recorded_as
        self._tokens: list[TokenRow] | None = None

    def rows(self, model: Any, tokenizer: Any) -> pl.DataFrame:
        """The rows (ROW_SCHEMA) of the probe set under the model's present weights.

        Passes run in the precision of the weights; nothing of a training changes. Activations are
        recomputed if the training does that. Raises ModelError as ``extract_spectra``, and
        DataError if no example is usable.
        """
        inner = unwrapped(model)
        tokens = self.tokens(inner, tokenizer)
        loaded = LoadedModel(
            name=self._name(inner),
            fingerprint="",
            model=inner,
            tokenizer=tokenizer,
            device=str(input_device(inner)),
            checkpointing=_recomputes(inner),
            adapter=self._adapter,
        )
        with undisturbed(inner):
            return pl.concat(list(extract_rows(loaded, tokens, self.probe_set.protocol)))

    def check(self, model: Any, tokenizer: Any) -> None:
        """Raise what ``rows`` would raise, without any passes over the examples."""
        inner = unwrapped(model)
        self.tokens(inner, tokenizer)
        protocol = self.probe_set.protocol
        with undisturbed(inner):
            find_projections(without_shell(inner), protocol.projections, protocol.layer_names.paths)

    def tokens(self, model: Any, tokenizer: Any) -> list[TokenRow]:
        """The tokens of all examples, for a supported model; raises DataError if none is usable."""
        if self._tokens is None:
            refuse_model(self._name(model), model)
            if self._recorded_as is not None:
                self._require_precision(model)
            protocol = self.probe_set.protocol
            encoder = Encoder(tokenizer, protocol, self._name(model), model_window(model))
            self.notes = encoder.notes
            names = [f"example {n}" for n in range(len(self.probe_set.examples))]
            tokens = encoder.encode_all(self.probe_set.examples, names)
            reasons = [row.reason for row in tokens if row.reason is not None]
            if len(reasons) == len(tokens):
                raise DataError(
                    f"No example of the probe set can be used ({reasons[0]}): give others."
                )
            if reasons:
                message = "%d of %d examples of the probe set cannot be used, the first since %s."
                _log.warning(message, len(reasons), len(tokens), reasons[0])
            if truncated := truncation_note(tokens, encoder.window):
                _log.warning("%s", truncated)
            self._tokens = tokens
        return self._tokens

    def _name(self, model: Any) -> str:
        """The name that the rows are recorded under, or else that the model was loaded from."""
        loaded_from = getattr(getattr(model, "config", None), "name_or_path", "") or ""
        return str(loaded_from) if self._recorded_as is None else self._recorded_as

    def _require_precision(self, model: Any) -> None:
        """Raise StudyError unless the weights have the precision that the rows' keys name."""
        found = str(model.get_input_embeddings().weight.dtype).removeprefix("torch.")
        expected = self.probe_set.protocol.dtype
        if found != expected:
            raise StudyError(
                f"The weights in training are {found} and the study's protocol says {expected}: "
                f"set `dtype: {found}` in the protocol of the study, or load the model in "
                f"{expected}; mixed precision (bf16=True, fp16=True) keeps float32 weights."
            )


def _recomputes(model: nn.Module) -> bool:
    """Whether the training recomputes activations in the backward pass."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
