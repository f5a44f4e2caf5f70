"""Any chart of the page from a study's results, by the name of its function in ``gp.charts``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import altair as alt

from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.report.charts import kinds
from gradpipe.report.study_results import StudyResults
from gradpipe.report.style_sheet import sheet_of, showing

#: How each argument of a function that is not the reader's choice follows from the results.
_Arguments = Mapping[str, Callable[[StudyResults], Any]]


def _steps(results: StudyResults) -> dict[str, float]:
    if results.steps.is_empty():
        raise DataError(
            "The study has no series: give the step of each model, steps={MODEL: STEP}."
        )
    return dict(results.steps.select("model", "step").iter_rows())


def _twins(results: StudyResults) -> tuple[str, str]:
    if len(results.twins) == 1:
        return results.twins[0]
    pairs = ", ".join(f"base={base!r}, tuned={tuned!r}" for base, tuned in results.twins)
    raise DataError(
        f"The study has several pairs of base and tuned models: choose {pairs}."
        if pairs
        else "The study has no pair of a base and a tuned model: name two, base=..., tuned=..."
    )


_CURVES: _Arguments = {"curves": lambda results: results.curves}
_MADS: _Arguments = {"mads": lambda results: results.mads}
_STATISTICS: _Arguments = {"table": lambda results: results.statistics}
#: The functions that draw a study's results. ``gp.charts.comparison`` is about two studies.
STUDY_CHARTS: Mapping[str, _Arguments] = {
    "headline": _CURVES,
    "curves": _CURVES,
    "heatmap": _CURVES,
    "curves_of_styles": _CURVES,
    "curves_of_models": _CURVES,
    "style_ratios": _CURVES,
    "relevance": _CURVES,
    "relevance_ratios": _CURVES,
    "difference_by_layer": _CURVES,
    "base_and_tuned": {
        **_CURVES,
        "base": lambda results: _twins(results)[0],
        "tuned": lambda results: _twins(results)[1],
    },
    "mad": _MADS,
    "knowledge": _MADS,
    "relative_difference": {"rds": lambda results: results.rds},
    "discrimination": {"aurocs": lambda results: results.aurocs},
    "verdicts": {"verdicts": lambda results: results.report.verdicts},
    "length": _STATISTICS,
    "alignment": {"table": lambda results: results.alignment},
    "examples": _STATISTICS,
    "one_example": _STATISTICS,
    "token_losses": {"details": lambda results: results.details},
    "spectra": {"spectra": lambda results: results.spectra},
    "over_steps": {"table": lambda results: results.curves, "steps": _steps},
    "claims_by_steps": {
        "table": lambda results: [cell.statistics for cell in results.cells],
        "steps": _steps,
        "claims": lambda results: results.study.all_claims(),
    },
    "layers_by_steps": {**_CURVES, "steps": _steps},
}


def study_chart(results: StudyResults, name: str, choices: Mapping[str, Any]) -> alt.FacetChart:
    """Draw a chart of the page.

    ``choices`` are keyword arguments of the function ``name`` of ``gp.charts``. ``model`` and
    ``benchmark`` may be given for any chart: other results are then not read. Raises StudyError for
    an unknown chart or choice, DataError if there is nothing to draw.
    """
    if name not in STUDY_CHARTS:
        raise StudyError(f"There is no chart {name!r}: {nearest(name, list(STUDY_CHARTS))}")
    function = getattr(kinds, name)
    parameters = list(signature(function).parameters)
    for choice in choices:
        if choice not in {*parameters, "model", "benchmark"}:
            raise StudyError(
                f"The chart {name!r} has no choice {choice!r}: {nearest(choice, parameters)}"
            )
    selected = _selected(results, name, choices)
    given = {choice: value for choice, value in choices.items() if choice in parameters}
    own = {
        argument: value_of(selected)
        for argument, value_of in STUDY_CHARTS[name].items()
        if argument not in given
    }
    with showing(sheet_of(results.study)):
        chart: alt.FacetChart = function(**own, **given)
    return chart


def _selected(results: StudyResults, name: str, choices: Mapping[str, Any]) -> StudyResults:
    """The results of the chosen model and benchmark; all of them for verdicts, which need all."""
    model, benchmark = choices.get("model"), choices.get("benchmark")
    if name == "verdicts" or (model is None and benchmark is None):
        return results
    study = results.study
    models = [entry.name for entry in study.models] if model is None else [study.model(model).name]
    benchmarks = (
        [entry.name for entry in study.benchmarks]
        if benchmark is None
        else [study.benchmark(benchmark).name]
    )
    selected = results.of(models, benchmarks)
    if not selected.cells:
        chosen = " on ".join(filter(None, (model, benchmark)))
        raise DataError(f"There are no results of {chosen} yet: compute them with `gradpipe run`.")
    return selected
