"""Stage three: the gradients of every example and their singular values, on the accelerator."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.checks import check_results, check_spec
from assets.dagster_workarounds.killed_runs import mark_process
from assets.dagster_workarounds.pool_slots import GPU, require_slot
from assets.partitions import grid_partitions, model_and_benchmark
from assets.planning.versions import Versions
from assets.resources import Accelerator
from assets.responses import responses
from assets.stage import ASSET_GROUP, result, retried
from gradpipe.engines.work import Work
from gradpipe.gradients.checks import check_rows, check_spectra
from gradpipe.gradients.rows import EXTRACTOR_VERSION, with_keys
from gradpipe.statistics.rows import summarize_rows
from storage.workspace import Workspace

SPECTRA_CHECKS = [
    check_spec(
        "gradient_spectra",
        "every_layer_and_projection",
        "Every usable example has a spectrum at every layer and projection of the protocol.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "all_finite",
        "No loss, norm or singular value is infinite or not a number.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "energy_is_frobenius",
        "Σσ² is the squared Frobenius norm that was taken from the factors themselves.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "rows_usable",
        "The share of rows that cannot be used is within the study's `unusable_limit`.",
        grid_partitions,
        blocking=False,
    ),
]


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"pytorch", "parquet"},
    partitions_def=grid_partitions,
    deps=[responses],
    code_version=EXTRACTOR_VERSION,
    check_specs=SPECTRA_CHECKS,
    pool=GPU,
)
def gradient_spectra(
    context: dg.AssetExecutionContext, accelerator: dg.ResourceParam[Accelerator]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Singular values of the loss gradient at Q, K, V and O of every layer, for every example.

    A row that is in the store is never recomputed: its key is a hash of the example, the
    protocol, the model's fingerprint and the extractor's version. Rows are kept batch by batch, so
    a stopped run resumes where it left off. If nothing is missing, no model is loaded.
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        cell = model_and_benchmark(context)
        workspace = Workspace.current()
        versions = Versions(workspace, workspace.study())
        version = versions.spectra(*cell)
        index, store = workspace.spectra_index(*cell), workspace.spectra(*cell)
        protocol = versions.study.protocol_of(versions.study.model(cell[0]))
        examples = with_keys(
            workspace.responses(cell[1]).read(), protocol, versions.model(cell[0])[1]
        )
        with workspace.lock(*cell):
            lacking = store.missing(examples["key"])
            if lacking:
                require_slot(context)
                missing = examples.filter(pl.col("key").is_in(lacking))
                _extract(context, accelerator, versions, missing.unique("key", maintain_order=True))
            store.compact()
        # The inputs of the spectra identify their content, so there is no need to read them all.
        measured = store.scan(examples["key"]).drop("matrices", "layers").collect()
        rows = examples.join(measured, on="key", how="left", maintain_order="left")
        checks = [
            *check_spectra(rows, store.chunks(rows["key"]), protocol.projections),
            check_rows(rows, versions.study.unusable_limit),
        ]
        yield from check_results(checks, SPECTRA_CHECKS, " × ".join(cell))
        if lacking or not index.is_current(version):
            index.write(rows, version, version)
        computed = rows.filter(pl.col("key").is_in(lacking))
        yield result(
            index.require_notes(),
            computed=computed.height,
            reused=rows.height - computed.height,
            seconds=perf_counter() - started,
            metadata=summarize_rows(rows, computed),
        )


def _extract(
    context: dg.AssetExecutionContext,
    accelerator: Accelerator,
    versions: Versions,
    missing: pl.DataFrame,
) -> None:
    """Compute every missing row and store it, with the study's engine."""
    model, benchmark = model_and_benchmark(context)
    config, (source, fingerprint) = versions.study.model(model), versions.model(model)
    store = versions.workspace.spectra(model, benchmark)
    work = Work(
        source=source,
        name=config.id,
        fingerprint=fingerprint,
        protocol=versions.study.protocol_of(config),
        examples=missing,
        append=store.append,
        missing=store.missing,
        report=accelerator.reporter(context, model, benchmark),
        placement=config.placement,
    )
    accelerator.extract(work, versions.study)
