"""The page shows the labels of models; the results keep their names."""

from collections.abc import Callable
from dataclasses import replace

from gradpipe.report.model_labels import with_model_labels
from gradpipe.report.report_data import ReportInputs

LABEL = "Small (4-bit GGUF)"


def test_every_table_has_the_label_in_place_of_the_name(
    make_inputs: Callable[..., ReportInputs],
) -> None:
    inputs = make_inputs(models=("demo", "demo-base"), layers=2, examples=3)
    models = [
        entry | ({"label": LABEL} if entry["name"] == "demo" else {})
        for entry in inputs.provenance["models"]
    ]
    labeled = with_model_labels(replace(inputs, provenance=inputs.provenance | {"models": models}))
    assert set(labeled.curves["model"]) == {LABEL, "demo-base"}
    assert set(labeled.twins["tuned"]) == {LABEL}
    assert set(labeled.verdicts["against_model"].drop_nulls()) == {"demo-base"}
    assert "demo" not in {*labeled.rows["model"], *labeled.examples["model"]}
    assert with_model_labels(inputs) is inputs
