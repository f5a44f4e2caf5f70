"""The results with the labels of models that readers of the page see."""

from dataclasses import fields, replace
from typing import Any

import polars as pl

from gradpipe.report.report_data import ReportInputs

#: Columns with the names of models.
_MODEL_COLUMNS = ("model", "against_model", "base", "tuned")


def with_model_labels(inputs: ReportInputs) -> ReportInputs:
    """The results with each model's label, if its provenance has one, in place of its name.

    The files beside the page keep the names, by which other programs find the models.
    """
    models = inputs.provenance.get("models", [])
    labels = {entry["name"]: entry["label"] for entry in models if entry.get("label")}
    if not labels:
        return inputs
    changed: dict[str, Any] = {}
    for one in fields(inputs):
        table = getattr(inputs, one.name)
        if isinstance(table, pl.DataFrame):
            named = [name for name in _MODEL_COLUMNS if name in table.columns]
            changed[one.name] = table.with_columns(pl.col(named).replace(labels))
    gradients = [
        run | {"model": labels.get(run["model"], run["model"])}
        for run in inputs.provenance.get("gradients") or []
    ]
    changed["provenance"] = inputs.provenance | {"gradients": gradients}
    return replace(inputs, **changed)
