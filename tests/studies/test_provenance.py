"""The provenance of a report names models as its readers see them."""

import polars as pl

from gradpipe.models.source import ModelSource
from gradpipe.studies.provenance import provenance
from gradpipe.studies.study import Study


def test_notes_on_models_have_their_labels() -> None:
    study = Study.model_validate(
        {"name": "s", "models": ["demo", "org/twin"], "benchmarks": ["mini_maths"]}
    )
    file = ModelSource("gguf", "/packages/SmolLM2-135M-Instruct.Q4_1.gguf")
    names = [model.name for model in study.models]
    costs = pl.DataFrame(
        schema={
            "model": pl.String,
            "hardware": pl.String,
            "examples": pl.Int64,
            "tokens": pl.Int64,
            "seconds": pl.Float64,
        }
    )
    made = provenance(
        study,
        dict.fromkeys(names, (file, "f")),
        {"mini_maths": ("1", 3)},
        costs,
        equal_weights=[names],
    )
    [note] = made["model_notes"]
    assert note.startswith(
        f"SmolLM2-135M-Instruct (4-bit GGUF) and {names[1]} have the same weights"
    )
