"""The notebook API: spectra and rankings of examples, without files and without a workspace."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, overload

import polars as pl

from gradpipe.errors import DataError
from gradpipe.gradients.protocol import Protocol, make_protocol
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.models.devices import input_device
from gradpipe.models.load import LoadedModel
from gradpipe.models.refusals import refuse_model
from gradpipe.models.source import AdapterReading
from gradpipe.standalone.example_runner import ExampleRunner, runner_of_loaded
from gradpipe.standalone.extra_scores import Extras
from gradpipe.standalone.full_table import full_spectra_table, unusable_note
from gradpipe.standalone.rank_examples import RankOrder, rank_by_model
from gradpipe.standalone.ranking import rank_scores, score_spectra
from gradpipe.standalone.user_examples import Examples, texts_of_examples, to_examples

_log = logging.getLogger(__name__)


def extract_spectra(
    model: Any,
    tokenizer: Any,
    examples: Examples,
    protocol: Protocol | str = "standard",
    *,
    name: str = "",
    checkpointing: bool = False,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
    adapter: AdapterReading = "merged",
) -> pl.DataFrame:
    """Compute the gradient spectra of examples: one row per (example, layer, projection).

    Each row describes the gradient of the example's response loss with respect to one weight
    matrix. An example that cannot be used, such as one with an empty response, has one row, which
    says why in ``reason``; functions that take the table leave it out.

    Args:
        model: A causal language model of the transformers library, on any device.
        tokenizer: The model's tokenizer.
        examples: Texts, whose tokens all carry loss, (instruction, output) tuples, lists of
            messages, or mappings with the columns of any format of data files, such as
            ``messages``, or ``instruction``, optional ``input`` and ``output``; a list may mix
            them. Or a Polars frame with such columns.
        protocol: How an example becomes tokens and a loss: "standard", "paper" or a ``Protocol``.
        name: The model's name in error messages; the "paper" protocol looks for "gemma" in it.
        checkpointing: Recompute each layer's activations in the backward pass to save memory.
        columns: Names of columns by their roles, for example ``{"messages": "chat"}``.
        response_template: In plain texts, the text after which the response begins.
        adapter: Of a model with an adapter of the peft library, measure the gradients at the
            ``merged`` weights, or those at the ``factors`` A and B ("q_lora_a", "q_lora_b").

    Returns:
        ``example`` (the position in ``examples``, from 0), ``span`` (null for the whole response;
        with ``Protocol(spans=...)``, the rows of its spans follow), ``loss`` (nats per token),
        ``tokens`` and ``response_tokens`` (counts), ``truncated`` (whether the end of the example
        was cut off to fit into the window), ``layer`` (from 0), ``projection`` ("q", "k",
        "v", "o"), ``nuclear_norm``, ``spectral_norm``, ``sigma1_ratio``, ``frobenius_norm``,
        ``effective_rank`` and all other statistics of a study, the cosines ``next_layer_cosine``,
        ``q_o_cosine``, ``q_ot_cosine`` and ``k_v_cosine``, ``layer_type`` (null unless the model
        mixes types of attention), the sums ``token_norms`` and ``token_energy`` of the norms and
        squared norms of the terms of the gradient at single tokens, and ``singular_values``
        (descending, at most one per token). In a mixture with gate, up or down, ``experts`` (see
        ``expert_table``); with ``Protocol(heads=True)``, ``heads`` (see ``head_table``). Last,
        ``reason``: null, or why the example cannot be used.

    Raises:
        DataError: The examples have no known format, none of them can be read, or one is longer
            than the model's window.
        ModelError: The model has no attention projections that gradpipe can find, has weights in
            8 bits or an adapter without merged weights, or its chat template fails.
        StudyError: There is no protocol of this name.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> spectra.height  # 2 examples, 3 layers, 4 projections
        24
        >>> spectra.filter(example=1, layer=2)["projection"].to_list()
        ['q', 'k', 'v', 'o']
        >>> spectra["nuclear_norm"].min() > 0
        True
        >>> mixed = ["A text.", ("Add 2 and 2.", "4"), ("Say nothing.", "")]
        >>> found = gp.extract_spectra(model, tokenizer, mixed)
        >>> found.drop_nulls("reason").select("example", "reason").rows()
        [(2, 'the response is empty')]
    """
    runner = _runner(
        model, tokenizer, protocol, name=name, checkpointing=checkpointing, adapter=adapter
    )
    rows = runner.encode(to_examples(examples, columns, response_template))
    frames = list(runner.spectra(rows, sketched=False))
    table = full_spectra_table(pl.concat([ROW_SCHEMA.to_frame(), *frames]))
    if note := unusable_note(table, len(rows)):
        _log.warning("%s", note)
    return table


@overload
def rank(
    data: pl.DataFrame,
    *,
    by: str = ...,
    ascending: bool = ...,
    top: int | float | None = ...,
) -> pl.DataFrame: ...


@overload
def rank(
    data: Examples,
    model: Any,
    tokenizer: Any,
    protocol: Protocol | str = ...,
    *,
    by: str = ...,
    ascending: bool = ...,
    top: int | float | None = ...,
    target: Examples | None = ...,
    diverse: bool = ...,
    extra: Sequence[str] = ...,
    sort: str | None = ...,
    columns: Mapping[str, str] | None = ...,
    response_template: str | None = ...,
    adapter: AdapterReading = ...,
) -> pl.DataFrame: ...


def rank(
    data: Examples,
    model: Any = None,
    tokenizer: Any = None,
    protocol: Protocol | str = "standard",
    *,
    by: str = "effective_rank",
    ascending: bool = False,
    top: int | float | None = None,
    target: Examples | None = None,
    diverse: bool = False,
    extra: Sequence[str] = (),
    sort: str | None = None,
    columns: Mapping[str, str] | None = None,
    response_template: str | None = None,
    adapter: AdapterReading = "merged",
) -> pl.DataFrame:
    """Score examples by one statistic of their gradients and put them in order.

    An example's score is the mean of the statistic over its layers and projections. Scores grow or
    shrink with a response's length, so compare examples of similar length.

    Args:
        data: The table that ``extract_spectra`` returned; or, together with ``model`` and
            ``tokenizer``, examples as ``extract_spectra`` takes them.
        model: The causal language model to compute gradients with.
        tokenizer: The model's tokenizer.
        protocol: How an example becomes tokens and a loss: "standard", "paper" or a ``Protocol``.
        by: The statistic, for example "effective_rank", "nuclear_norm" or "sigma1_ratio".
        ascending: Put the smallest score first instead of the largest.
        top: Keep this many examples (an integer), or this share of those with a score (a float).
        target: Examples to compare with: adds each example's cosine with their mean gradient
            (``target_cosine``) and with the most similar one of them (``target_cosine_max``).
        diverse: Choose examples with different gradients one after another; ``top`` is how many.
        extra: Further columns: any of "loss", "tokens", "ppl" and "ifd".
        sort: The column to order by; by default ``target_cosine`` with ``target``, otherwise
            ``score``.
        columns: Names of columns by their roles, as in ``extract_spectra``.
        response_template: As in ``extract_spectra``.
        adapter: As in ``extract_spectra``.

    Returns:
        One row per example, best first: ``example`` (its position in the data, from 0), ``score``
        (in the statistic's unit), ``rank`` (from 1) and ``reason`` (why there is no score; null
        otherwise). For examples, the added columns, ``instruction`` and ``response`` follow.
        Unusable examples come last, without score and rank.

    Raises:
        StudyError: There is no such statistic, further column or column to sort by, or the table
            has no columns to compute it from.
        DataError: ``data`` is neither a table of spectra nor usable examples with a model and a
            tokenizer.
        ModelError: As in ``extract_spectra``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> ranking = gp.rank(spectra, by="effective_rank")
        >>> ranking.columns
        ['example', 'score', 'rank', 'reason']
        >>> ranking["example"].to_list()  # more tokens, more directions
        [1, 0]
        >>> gp.rank(pairs, model, tokenizer, top=1)["instruction"].to_list()
        ['Name a color.']
    """
    if model is None and tokenizer is None:
        if not isinstance(data, pl.DataFrame):
            raise DataError(
                "Examples have no scores without a model: pass model and tokenizer too, or a table "
                "that extract_spectra returned."
            )
        if target is not None or diverse or extra or sort is not None:
            raise DataError(
                "target, diverse, extra and sort need gradients, which a table of spectra does not "
                "have: pass examples, model and tokenizer."
            )
        return _of_examples(rank_scores(score_spectra(data, by), ascending, top))
    if model is None or tokenizer is None:
        missing = "model" if model is None else "tokenizer"
        raise DataError(f"The {missing} is missing: pass both a model and its tokenizer.")
    pairs = to_examples(data, columns, response_template)
    targets = None if target is None else to_examples(target, columns, response_template)
    extras = Extras(names=extra, target=targets, target_name="target", diverse=diverse)
    order = RankOrder(by=by, extras=extras, sort=sort, ascending=ascending, top=top)
    ranking = rank_by_model(_runner(model, tokenizer, protocol, adapter=adapter), pairs, order)
    found = _of_examples(ranking.select("row", *order.columns))
    return found.hstack(texts_of_examples(pairs)[ranking["row"]])


def _of_examples(ranked: pl.DataFrame) -> pl.DataFrame:
    others = pl.exclude("row", "score", "rank", "reason")
    return ranked.select(pl.col("row").alias("example"), "score", "rank", "reason", others)


def _runner(
    model: Any,
    tokenizer: Any,
    protocol: Protocol | str,
    *,
    name: str = "",
    checkpointing: bool = False,
    adapter: AdapterReading = "merged",
) -> ExampleRunner:
    """The runner of a model in memory; raises ModelError for a model that has no gradients."""
    refuse_model(name, model)
    loaded = LoadedModel(
        name=name,
        fingerprint="",
        model=model,
        tokenizer=tokenizer,
        device=str(input_device(model)),
        checkpointing=checkpointing,
        adapter=adapter,
    )
    chosen = make_protocol(protocol) if isinstance(protocol, str) else protocol
    return runner_of_loaded(loaded, chosen)
