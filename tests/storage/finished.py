"""A finished workspace whose study has every kind of result that charts draw."""

from pathlib import Path

import polars as pl

from gradpipe.gradients.examples import extract_examples
from gradpipe.gradients.protocol import make_protocol
from gradpipe.models.load import load_model
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.statistics.partition import partition_tables
from storage.workspace import Workspace
from tests.conftest import study_of

ITEMS = 8
CLAIM = "none > detailed on nuclear_norm"
#: Benchmarks by the styles of their responses.
STYLES = {
    "mini_maths": {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."},
    "mini_obscure": {"length_100": "It is {}.", "article": "Whoever adds the two finds {}."},
}


def examples_of(benchmark: str) -> pl.DataFrame:
    """Correct and irrelevant responses to a few items; the last item's are empty."""
    rows = [
        {
            "item_id": str(n),
            "index": n,
            "style": style,
            "relevance": relevance,
            "instruction": f"What is {n} plus {n}?",
            "response": text.format(2 * n + (relevance == "irrelevant")) if n < ITEMS else "",
        }
        for n in range(ITEMS + 1)
        for style, text in STYLES[benchmark].items()
        for relevance in ("correct", "irrelevant")
    ]
    names = [f"{row['item_id']} {row['style']} {row['relevance']}" for row in rows]
    family = "math" if benchmark == "mini_maths" else "knowledge"
    return pl.DataFrame(rows).select(
        pl.Series("example_id", names),
        pl.lit(benchmark).alias("benchmark"),
        pl.lit(family).alias("family"),
        *(pl.lit(None, pl.String).alias(n) for n in ("donor_item_id", "verdict", "context")),
        pl.all(),
        key=pl.Series(names),
    )


def finished_workspace(folder: Path, model: Path) -> Path:
    """Write the workspace of a study of two models, which are the same one, on two benchmarks."""
    workspace = Workspace(folder)
    models = [
        {"id": str(model), "name": "one"},
        {"id": str(model), "name": "other", "base": "one"},
    ]
    study = study_of(model, *STYLES, models=models, claims=[CLAIM], sample=ITEMS)
    workspace.keep_study(study)
    loaded, protocol = load_model(str(model)), make_protocol("standard")
    for benchmark in STYLES:
        examples = examples_of(benchmark)
        workspace.responses(benchmark).write(examples.select(list(EXAMPLE_SCHEMA)), "v")
        rows = pl.concat(extract_examples(loaded, examples, protocol))
        measured = rows.drop("matrices", "layers", "spans")
        for name in ("one", "other"):
            workspace.spectra(name, benchmark).append(rows)
            index = examples.join(measured, on="key", how="left", maintain_order="left")
            workspace.spectra_index(name, benchmark).write(index, "v")
            tables = partition_tables(examples, [rows], study.statistics, name)
            workspace.statistics(name, benchmark).write(tables.statistics, "v")
            workspace.alignments(name, benchmark).write(tables.alignments, "v")
            workspace.example_sets(name, benchmark).write(tables.sets, "v")
    return folder
