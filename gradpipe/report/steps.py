"""Training runs in a report: which models are checkpoints, and which of them stand for the run.

A run of 500 checkpoints is not 500 models: its checkpoints are nearly copies of one another. So the
verdicts of a study count the start and the last step of each run, and detail is shown for these
and a few evenly spaced steps between them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import polars as pl

from gradpipe.report.report_data import STEP_SCHEMA, ReportInputs
from gradpipe.studies.model_config import ModelConfig

#: A series has detail, such as curves by layer and examples, for at most this many steps.
MOST_DETAILED_STEPS = 6
#: Charts over steps draw at most this many steps of a series, and heatmaps fewer.
MOST_DRAWN_STEPS, MOST_HEATMAP_STEPS = 100, 40
#: Claims are measured at at most this many steps of a series.
MOST_CLAIM_STEPS = 40
#: The tables that keep every model on the page: counts of examples, and what is about steps.
_OF_ALL_MODELS = ("rows", "unusable", "steps", "claim_steps")
_MODEL_COLUMNS = ("model", "base", "tuned", "against_model")


def step_table(models: Iterable[ModelConfig]) -> pl.DataFrame:
    """The checkpoints among a study's models and their steps: STEP_SCHEMA.

    The base of a series is at step 0 of it, unless the series has a checkpoint of that step.
    """
    rows: dict[tuple[str, float], str] = {}
    bases: dict[tuple[str, float], str] = {}
    for model in models:
        if model.series is not None and model.step is not None:
            rows[model.series, float(model.step)] = model.name
            if model.base is not None:
                bases[model.series, 0.0] = model.base
    placed = [(name, series, step) for (series, step), name in {**bases, **rows}.items()]
    return pl.DataFrame(placed, schema=STEP_SCHEMA, orient="row").sort("series", "step")


def steps_of(steps: Mapping[str, float] | pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Steps by model, or a table of them, as a table of STEP_SCHEMA."""
    if isinstance(steps, pl.DataFrame | pl.LazyFrame):
        return steps.lazy().collect().select(pl.col(n).cast(k) for n, k in STEP_SCHEMA.items())
    rows = [(model, "run", float(step)) for model, step in steps.items()]
    return pl.DataFrame(rows, schema=STEP_SCHEMA, orient="row")


def evenly_spaced(steps: Sequence[float], most: int) -> list[float]:
    """At most ``most`` of the distinct steps by their ranks, with the first and the last one."""
    known = sorted(set(steps))
    if len(known) <= most:
        return known
    places = np.unique(np.rint(np.linspace(0, len(known) - 1, most)).astype(int))
    return [known[place] for place in places]


def thinned(steps: pl.DataFrame, most: int) -> pl.DataFrame:
    """The rows of at most ``most`` evenly spaced steps of each series."""
    parts = [
        part.filter(pl.col("step").is_in(evenly_spaced(part["step"].to_list(), most)))
        for part in steps.partition_by("series", maintain_order=True)
    ]
    return pl.concat([steps.clear(), *parts])


def models_that_count(models: Sequence[str], steps: pl.DataFrame) -> list[str]:
    """The models that the verdicts of a study are about.

    Of each series these are its last step and its start, the model at step 0.
    """
    present = steps.filter(pl.col("model").is_in(list(models)))
    ends = present.filter(
        (pl.col("step") == pl.col("step").max().over("series")) | (pl.col("step") == 0)
    )
    between = set(present["model"]) - set(ends["model"])
    return [model for model in models if model not in between]


def detailed_models(models: Sequence[str], steps: pl.DataFrame) -> list[str]:
    """The models with detail: of each series at most MOST_DETAILED_STEPS, and all other models."""
    present = steps.filter(pl.col("model").is_in(list(models)))
    kept = set(thinned(present, MOST_DETAILED_STEPS)["model"])
    checkpoints = set(present["model"])
    return [model for model in models if model not in checkpoints or model in kept]


def with_detail(inputs: ReportInputs) -> ReportInputs:
    """The inputs with the rows of `detailed_models` only, as the page and image files show them.

    Tables over steps keep all models, and so do counts of examples. Verdicts on families of models
    are kept too.
    """
    models = inputs.curves.get_column("model").unique(maintain_order=True).to_list()
    kept = detailed_models(models, inputs.steps)
    if len(kept) == len(models):
        return inputs
    dropped = set(models).difference(kept)
    changes: dict[str, Any] = {}
    for table in (field.name for field in fields(inputs)):
        frame = getattr(inputs, table)
        if table in _OF_ALL_MODELS or not isinstance(frame, pl.DataFrame):
            continue
        named = [name for name in _MODEL_COLUMNS if name in frame.columns]
        shown = [pl.col(name).is_null() | ~pl.col(name).is_in(dropped) for name in named]
        changes[table] = frame.filter(*shown)
    return replace(inputs, **changes)
