"""The notebook API: spectra of a list of pairs, without files and without a workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.gradients.tokens import Encoder


def extract_spectra(
    model: Any,
    tokenizer: Any,
    examples: Sequence[Mapping[str, Any] | tuple[str, str]],
    protocol: Protocol | str = "standard",
    *,
    name: str = "",
    checkpointing: bool = False,
) -> pl.DataFrame:
    """Gradient spectra of (instruction, response) pairs, for notebooks.

    ``model`` is a causal language model of the transformers library, ``examples`` a list of pairs
    or of mappings with ``instruction``, optional ``input`` and ``output``. Returns one row a usable
    (example, layer, projection), with the statistics and the singular values; examples that cannot
    be used are absent here, ``extract_rows`` gives their reasons. ``checkpointing`` computes each
    layer's activations twice rather than keep them all. Raises DataError or ModelError.
    """
    from gradpipe.gradients.protocol import make_protocol
    from gradpipe.models.load import LoadedModel, model_window
    from gradpipe.models.placement import input_device
    from gradpipe.models.refusals import refuse_model
    from gradpipe.standalone.pairs import to_pair
    from gradpipe.standalone.spectra_table import spectra_table

    refuse_model(name, model)
    chosen = make_protocol(protocol) if isinstance(protocol, str) else protocol
    loaded = LoadedModel(name, "", model, tokenizer, str(input_device(model)), checkpointing)
    encoder = Encoder(tokenizer, chosen, name, model_window(model))
    pairs = [to_pair(example, number) for number, example in enumerate(examples)]
    frames = list(extract_rows(loaded, encoder.encode_all(pairs), chosen))
    return spectra_table(pl.concat(frames) if frames else pl.DataFrame(schema=ROW_SCHEMA))
