"""Provenance: what was run on what, enough for a stranger to run it again."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import polars as pl

from gradpipe.models.hardware import device_name
from gradpipe.models.source import ModelSource
from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study

#: The packages whose versions the numbers and pictures depend on.
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
) -> dict[str, Any]:
    """The study, its models with revision and fingerprint, its data with version and item count,
    and what the gradients were computed on, in which time.

    ``models`` maps a name to its source and fingerprint (those that it lacks are left out),
    ``benchmarks`` one to its version and items; ``computed`` is made of ``extraction_costs``.
    """
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
            for benchmark in study.benchmarks
        ],
        "gradients": computed.group_by("model", "hardware", maintain_order=True)
        .sum()
        .with_columns(pl.col("seconds").round(1))
        .to_dicts(),
        "protocol": study.protocol.model_dump(mode="json"),
        "versions": {"python": platform.python_version()} | _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": f"{platform.system()} {platform.machine()}, {device_name('cpu')}",
    }


def extraction_costs(model: str, examples: pl.LazyFrame) -> pl.DataFrame:
    """On what the gradients of a model's examples were computed: examples, tokens and seconds.

    ``examples`` have ``key``, ``hardware``, ``tokens`` and ``seconds``; equal ones count once.
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
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
