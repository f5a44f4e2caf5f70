"""Provenance: what was run on what, enough for others to reproduce it."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from gradpipe.models.equal_weights import equal_weights_note
from gradpipe.models.hardware import cpu_name
from gradpipe.models.source import ModelSource
from gradpipe.studies.load import study_yaml
from gradpipe.studies.model_labels import model_labels
from gradpipe.studies.study import Study

#: The packages that the numbers and charts depend on.
PACKAGES = (
    "gradpipe",
    "torch",
    "transformers",
    "tokenizers",
    "polars",
    "numpy",
    "scipy",
    "dagster",
    "altair",
)


def provenance(
    study: Study,
    models: Mapping[str, tuple[ModelSource, str]],
    benchmarks: Mapping[str, tuple[str, int]],
    computed: pl.DataFrame,
    *,
    revisions: Mapping[str, str | None] | None = None,
    notes: Mapping[str, list[str]] | None = None,
    equal_weights: Sequence[Sequence[str]] = (),
    weights: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """The study, its models and data, and the hardware and time that its gradients took.

    Args:
        study: The study.
        models: The source and fingerprint of each model by name; others are left out.
        benchmarks: The version and number of items of each benchmark by name.
        computed: The tables of ``extraction_costs``, concatenated.
        revisions: The commit of each benchmark that is a data set of the hub, by its name.
        notes: What is done beyond each model's chat template, by its name.
        equal_weights: Groups of models that have the same weights.
        weights: What was done to each model's stored weights, by its name.
    """
    labels = model_labels(
        {one.name: (one.id, models[one.name][0]) for one in study.models if one.name in models}
    )
    twins = {name: [n for n in group if n != name] for group in equal_weights for name in group}
    return {
        "study": study.model_dump(mode="json"),
        "study_yaml": study_yaml(study),
        "models": [
            {
                "name": model.name,
                "id": model.id,
                "kind": models[model.name][0].kind,
                "revision": models[model.name][0].revision,
                "fingerprint": models[model.name][1],
            }
            | ({"label": label} if (label := labels.get(model.name)) else {})
            | ({"prompts": " ".join(said)} if (said := (notes or {}).get(model.name)) else {})
            | ({"same weights as": ", ".join(same)} if (same := twins.get(model.name)) else {})
            | ({"weights": " ".join(done)} if (done := (weights or {}).get(model.name)) else {})
            for model in study.models
            if model.name in models
        ],
        "benchmarks": [
            {
                "name": benchmark.name,
                "source": benchmark.source,
                "path": benchmark.path,
                "version": benchmarks[benchmark.name][0],
                "items": benchmarks[benchmark.name][1],
            }
            | ({"revision": commit} if (commit := (revisions or {}).get(benchmark.name)) else {})
            for benchmark in study.benchmarks
        ],
        "model_notes": [
            equal_weights_note([labels.get(name, name) for name in group])
            for group in equal_weights
        ],
        "gradients": computed.group_by("model", "hardware", maintain_order=True)
        .sum()
        .with_columns(pl.col("seconds").round(1))
        .to_dicts(),
        "protocol": study.protocol.model_dump(mode="json"),
        "versions": {"python": platform.python_version()} | _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{platform.system()} {platform.machine()}, {cpu_name()}",
    }


def extraction_costs(model: str, examples: pl.LazyFrame) -> pl.DataFrame:
    """What the gradients of a model's examples took, by hardware: examples, tokens and seconds.

    ``examples`` has ``key``, ``hardware``, ``tokens`` and ``seconds``; examples with equal keys
    count once.
    """
    return (
        examples.unique("key")
        .group_by("hardware")
        .agg(
            pl.len().cast(pl.Int64).alias("examples"),
            pl.col("tokens", "seconds").sum(),
        )
        .select(pl.lit(model).alias("model"), "hardware", "examples", "tokens", "seconds")
        .sort("hardware")
        .collect()
    )


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
