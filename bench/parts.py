"""The parts of the bench: each measures, summarizes, and describes its run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.data import encode_style, find_source
from bench.goals import check_goals
from bench.settings import Say, Settings
from gradpipe.errors import DataError

if TYPE_CHECKING:
    from gradpipe.gradients.tokens import TokenRow
    from gradpipe.models.load import LoadedModel


@dataclass(frozen=True)
class Part:
    """The results of a part: its summary (one row per case) and the raw rows.

    ``note`` explains the numbers, or why they are missing.
    """

    name: str
    note: str
    summary: pl.DataFrame = field(default_factory=pl.DataFrame)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)

    def as_json(self) -> dict[str, Any]:
        """The part for JSON."""
        return {
            "note": self.note,
            "summary": self.summary.to_dicts(),
            "goals": check_goals(self.name, self.summary),
            "rows": self.rows.to_dicts(),
        }


def run_passes(settings: Settings, say: Say) -> Part:
    """Time ours, the bare passes and the naive method on real rows."""
    from bench.passes import measure_style
    from bench.summary import summarize_passes

    source, styles = _styles(settings)
    timings = pl.concat(
        [measure_style(loaded, style, rows, settings, say) for loaded, style, rows in styles]
    )
    naive = (
        f"the naive method took {settings.naive_rows} of them, spread over the lengths, and is "
        "compared with the time of ours for the same number of tokens"
        if settings.naive_rows
        else "the naive method was skipped"
    )
    note = (
        f"Seconds per example, {_rows(settings, source)}; {_rounds(settings)}, with the methods in "
        f"turn; {naive}. Beyond bare is the share of the time of ours that exceeds the bare passes "
        "in the same batches: spectra, less the savings of faster passes. The difference is the "
        "largest relative difference of a nuclear norm from the naive method's float32."
    )
    return Part("passes", note, summarize_passes(timings), timings)


def run_alignment(settings: Settings, say: Say) -> Part:
    """Time ours with and without cosines and sketches on real rows."""
    from bench.alignment import measure_alignment, summarize_alignment

    source, styles = _styles(settings)
    timings = pl.concat(
        [measure_alignment(loaded, style, rows, settings, say) for loaded, style, rows in styles]
    )
    note = (
        f"Seconds per example, {_rows(settings, source)}; {_rounds(settings)}, with both in turn. "
        "With: same-layer and next-layer cosines and a sketch of every gradient, besides the "
        "spectra."
    )
    return Part("alignment", note, summarize_alignment(timings), timings)


def run_spans(settings: Settings, say: Say) -> Part:
    """Time rows with spans against the same rows without, and against spans as rows."""
    from bench.spans import CASES, measure_spans, summarize_spans
    from gradpipe.models.load import load_model

    loaded = load_model(settings.model)
    timings = pl.concat([measure_spans(loaded, *case, settings, say) for case in CASES])
    note = (
        f"Seconds per example on {settings.model_name} in float32, random tokens, without cosines; "
        f"{_rounds(settings)}. Spans share the forward pass of their row; as rows, each span runs "
        "through the model again, whole or without the tokens behind it (cut)."
    )
    return Part("spans", note, summarize_spans(timings), timings)


def run_layer(settings: Settings, say: Say) -> Part:
    """Time one layer at the shapes of large models."""
    from bench.layer import measure_shape, shape_settings, summarize_layers

    _some(settings.shapes, "shape")
    for shape in settings.shapes:
        shape_settings(shape)
    timings = pl.concat([measure_shape(shape, settings, say) for shape in settings.shapes])
    note = (
        f"One layer with random weights in float32, one row of {settings.tokens} tokens, all with "
        f"a loss; {_rounds(settings)}. Whole: forward pass, backward pass and spectra of Q, K, V "
        "and O. Spectra: from the factors, against the SVDs of the weight gradients."
    )
    return Part("layer", note, summarize_layers(timings), timings)


def run_memory(settings: Settings, say: Say) -> Part:
    """Measure every method's peak memory in a separate process."""
    from bench.layer import shape_settings
    from bench.memory import measure_case, summarize_memory

    for shape in settings.shapes:
        shape_settings(shape)
    source = find_source(settings.data).name
    cases = _some((*settings.styles, *settings.shapes), "style or shape")
    peaks = pl.concat([measure_case(case, settings, say) for case in cases])
    note = (
        f"Peak memory while a method ran, in a separate process: {_rows(settings, source)} (naive "
        "and one row: the longest of them), and one layer at the shapes of larger models. Above: "
        "the part above the loaded model and its libraries."
    )
    return Part("memory", note, summarize_memory(peaks), peaks)


def run_profile(settings: Settings, _say: Say) -> Part:
    """Profile ours and the bare passes by operator."""
    from bench.profile import ROWS, profile_style, top_operators

    _, styles = _styles(settings)
    operators = pl.concat(
        [profile_style(loaded, style, rows, settings) for loaded, style, rows in styles]
    )
    note = (
        f"Self time of operators on {min(ROWS, settings.rows)} rows, summed over the calling "
        "threads; autograd's entries include the time that hooks run or wait."
    )
    return Part("profile", note, top_operators(operators), operators)


def run_page(settings: Settings, say: Say) -> Part:
    """Measure the report of the paper's grid: its size, and the time to open it."""
    from bench.page import measure_page, summarize_page

    rounds = measure_page(settings, say)
    note = (
        "The report of ten models on thirteen benchmarks with every statistic, from made-up "
        f"results; {_rounds(settings)} in a headless Chromium, newly started per round. First "
        "chart and all drawn: seconds from the request of the page."
    )
    return Part("page", note, summarize_page(rounds), rounds)


def run_storage(settings: Settings, say: Say) -> Part:
    """Measure a row store of made-up rows, as batches leave it and after its merge."""
    from bench.stored_rows import ROWS_PER_FILE, measure_stores, summarize_stores

    measures = measure_stores(settings, say)
    note = (
        f"{settings.stored} made-up rows of SmolLM2-135M's shape with GSM8K's lengths, in a local "
        f"folder, {ROWS_PER_FILE} per batch; {_rounds(settings)}, with the files in memory. Look: "
        "which keys are missing. Numbers: all columns of numbers. Spectra: everything, verified "
        "whole. Merge: once, from apart to merged."
    )
    return Part("storage", note, summarize_stores(measures), measures)


def run_peers(settings: Settings, say: Say) -> Part:
    """Compare gradpipe with other projects, each in a process of its own."""
    from bench.peers import measure_peers
    from bench.peers_summary import summarize_peers

    source, run = measure_peers(settings, say)
    threads = "one thread" if run.threads == 1 else f"{run.threads} threads"
    note = (
        f"Seconds per example, {_rows(settings, source)}; {_rounds(settings)}, with the methods in "
        f"turn, each in a new process with {threads} and no accelerator, after one row "
        "untimed and without the time to load the model. Ratio: the method's time over that of "
        "gradpipe with cosines. Peak: memory of the process with the model while it ran."
    )
    return Part("peers", note, summarize_peers(run), run.timings)


PARTS: dict[str, Callable[[Settings, Say], Part]] = {
    "passes": run_passes,
    "alignment": run_alignment,
    "spans": run_spans,
    "layer": run_layer,
    "memory": run_memory,
    "profile": run_profile,
    "page": run_page,
    "storage": run_storage,
    "peers": run_peers,
}


def _styles(settings: Settings) -> tuple[str, Iterator[tuple[LoadedModel, str, list[TokenRow]]]]:
    """The data's name, and the model with each style's rows, all encoded before the first run."""
    from gradpipe.models.load import load_model

    source, loaded = find_source(settings.data), load_model(settings.model)
    rows = [
        (loaded, style, encode_style(loaded, source, style, settings.rows))
        for style in _some(settings.styles, "style")
    ]
    return source.name, iter(rows)


def _some(names: tuple[str, ...], what: str) -> tuple[str, ...]:
    if not names:
        raise DataError(f"There is nothing to measure: name at least one {what}.")
    return names


def _rows(settings: Settings, source: str) -> str:
    return f"{settings.rows} rows of {source} per style on {settings.model_name} in float32"


def _rounds(settings: Settings) -> str:
    return "one round" if settings.rounds == 1 else f"medians of {settings.rounds} rounds"
