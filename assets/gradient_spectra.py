"""Stage three: the gradients of every example and their singular values, on the accelerator."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from assets.checks import check_spec
from assets.dagster_workarounds.pool_slots import GPU, require_slot
from assets.partitions import grid_partitions
from assets.planning.versions import Stage, Versions
from assets.resources import Accelerator, WorkspaceResource
from assets.responses import RESPONSES, responses
from assets.stage_run import ASSET_GROUP, StageRun, stage_run
from gradpipe.engines.work import Work
from gradpipe.errors import ModelError
from gradpipe.gradients.checks import check_rows, check_spectra
from gradpipe.gradients.rows import EXTRACTOR_VERSION, with_keys
from gradpipe.statistics.rows import summarize_rows
from gradpipe.system.hashing import content_hash
from storage.stages import SPECTRA_FILES, Partition

SPECTRA_CHECKS = [
    check_spec(
        "gradient_spectra",
        "every_layer_and_projection",
        "Every usable example has a spectrum for every layer and projection of the protocol.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "all_finite",
        "Every loss, norm and singular value is finite.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "energy_is_frobenius",
        "Σσ² equals the squared Frobenius norm computed from the gradient factors.",
        grid_partitions,
    ),
    check_spec(
        "gradient_spectra",
        "rows_usable",
        "The share of unusable rows is within the study's `unusable_limit`; rows that were cut to "
        "the window are counted.",
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
    context: dg.AssetExecutionContext,
    workspace: dg.ResourceParam[WorkspaceResource],
    accelerator: dg.ResourceParam[Accelerator],
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Singular values of the loss gradient at Q, K, V and O of every layer, for every example.

    A row in the store is never recomputed: its key is a hash of the example, the protocol, the
    model's content and the extractor's version. Rows are stored batch by batch, so a stopped
    run resumes where it left off. If no row is missing, no model is loaded.
    """
    with stage_run(context, workspace, GRADIENT_SPECTRA) as run:
        cell = run.partition.model, run.partition.benchmark
        store = run.workspace.spectra(*cell)
        protocol = run.study.protocol_of(run.study.model(run.partition.model))
        examples = with_keys(
            run.workspace.responses(run.partition.benchmark).read(),
            protocol,
            run.versions.row_identity(run.partition.model),
        )
        with run.workspace.lock(*cell):
            missing_keys = store.missing(examples["key"])
            if missing_keys:
                require_slot(context)
                missing = examples.filter(pl.col("key").is_in(missing_keys))
                _extract(context, accelerator, run, missing.unique("key", maintain_order=True))
            store.compact()
        # The inputs of the spectra identify their content, so there is no need to read them all.
        measured = store.scan(examples["key"]).drop("matrices", "layers", "spans").collect()
        rows = examples.join(measured, on="key", how="left", maintain_order="left")
        factors = run.study.model(run.partition.model).adapter == "factors"
        # Which factors there are, only the adapter knows.
        projections = () if factors else protocol.projections
        checks = [
            *check_spectra(rows, store.chunks(rows["key"]), projections),
            check_rows(rows, run.study.unusable_limit),
        ]
        yield from run.check_results(checks)
        run.record_step(protocol)
        if missing_keys or not run.was_current:
            run.table.write(rows, run.version, run.version)
        computed = rows.filter(pl.col("key").is_in(missing_keys))
        yield run.result(summarize_rows(rows, computed), computed.height)


def _extract(
    context: dg.AssetExecutionContext,
    accelerator: Accelerator,
    run: StageRun,
    missing: pl.DataFrame,
) -> None:
    """Compute every missing row and store it, with the study's engine."""
    model, benchmark = run.partition.model, run.partition.benchmark
    config, (source, fingerprint) = run.study.model(model), run.versions.model(model)
    if config.record is not None:
        raise ModelError(
            f"{missing.height} rows of {model} on {benchmark} are missing, and its checkpoint is "
            f"no longer at {config.id}: restore it, or leave the step out of its series."
        )
    store = run.workspace.spectra(model, benchmark)
    work = Work(
        source=source,
        name=config.id,
        fingerprint=fingerprint,
        protocol=run.study.protocol_of(config),
        examples=missing,
        append=store.append,
        missing=store.missing,
        report=accelerator.reporter(context, model, benchmark),
        placement=config.placement,
        rewritable=config.checkpoint is not None and source.kind == "folder",
    )
    accelerator.extract(work, run.study)


def _version(versions: Versions, partition: Partition) -> str:
    """Examples, protocol, model weights, extractor version."""
    protocol = versions.study.protocol_of(versions.study.model(partition.model))
    return content_hash(
        EXTRACTOR_VERSION,
        versions.data(RESPONSES, RESPONSES.files.partition_of(partition)),
        protocol.key(),
        versions.row_identity(partition.model),
    )


GRADIENT_SPECTRA = Stage(
    asset=gradient_spectra,
    files=SPECTRA_FILES,
    reads=(RESPONSES,),
    version=_version,
    job="model_gradients",
)
