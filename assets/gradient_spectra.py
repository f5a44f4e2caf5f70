"""Stage three: the gradients of every example and their singular values, on the accelerator."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets.checks import check_spec
from assets.dagster_workarounds.pool_slots import GPU, require_slot
from assets.partitions import grid_partitions
from assets.planning.versions import Stage, Versions
from assets.resources import Accelerator, WorkspaceResource
from assets.responses import RESPONSES, responses
from assets.stage_run import ASSET_GROUP, StageRun, stage_run
from assets.table_metadata import column_schema, markdown_table
from assets.unusable_rows import discard_once
from gradpipe.check import Check
from gradpipe.engines.work import Work
from gradpipe.errors import ModelError
from gradpipe.gradients.checks import WEIGHTS_CHECK, check_rows, check_spectra, check_weights
from gradpipe.gradients.rows import EXTRACTOR_VERSION, NESTED, ROW_SCHEMA, with_keys
from gradpipe.models.fingerprint import fingerprint as content_fingerprint
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.statistics.rows import summarize_rows
from gradpipe.studies.equal_models import find_equal_models
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from storage.remote_checkpoints import fetch_weights
from storage.stages import SPECTRA_FILES, Partition
from storage.workspace import Workspace

#: Seconds for which it is known which models are equal, since every partition asks.
EQUAL_MODELS_MAX_AGE = 600.0
_INDEX_SCHEMA = pl.Schema(
    {
        **EXAMPLE_SCHEMA,
        "key": pl.String(),
        **{name: dtype for name, dtype in ROW_SCHEMA.items() if name not in ("row", *NESTED)},
    }
)
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
    check_spec(
        "gradient_spectra",
        WEIGHTS_CHECK,
        "No other model of the study has the same weights under another name.",
        grid_partitions,
        blocking=False,
    ),
]


class SpectraConfig(dg.Config):
    """Settings of one materialization; without them, it computes every missing row."""

    retry_unusable: bool = Field(
        default=False,
        description="Recompute unusable rows, for example rows that ran out of memory.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description=(
            "The most rows to compute now. While rows are missing, the partition does not count as "
            "materialized; a later run computes the rest."
        ),
    )
    batch_tokens: int | None = Field(
        default=None,
        ge=1,
        description=(
            "The most tokens per batch, padding included; by default as many as fit in the memory. "
            "It changes the speed, not what is computed."
        ),
    )


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"pytorch", "parquet"},
    metadata=column_schema(_INDEX_SCHEMA),
    partitions_def=grid_partitions,
    deps=[responses],
    code_version=EXTRACTOR_VERSION,
    check_specs=SPECTRA_CHECKS,
    pool=GPU,
    # Runs with a limit compute rows without materializing the partition.
    output_required=False,
)
def gradient_spectra(
    context: dg.AssetExecutionContext,
    config: SpectraConfig,
    workspace: dg.ResourceParam[WorkspaceResource],
    accelerator: dg.ResourceParam[Accelerator],
) -> Iterator[dg.AssetCheckResult | dg.AssetObservation | dg.MaterializeResult[Any]]:
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
        if config.retry_unusable:
            discard_once(context, run.versions, cell)
        with run.workspace.lock(*cell):
            missing_keys = store.missing(examples["key"])
            if missing_keys:
                require_slot(context)
                missing = examples.filter(pl.col("key").is_in(missing_keys))
                missing = missing.unique("key", maintain_order=True)
                chosen = missing.head(config.limit or missing.height)
                _extract(accelerator, run, chosen, config.batch_tokens)
                if left := missing.height - chosen.height:
                    yield from _report_limited_run(context, chosen.height, left)
                    return
            store.compact()
        # The inputs of the spectra identify their content, so there is no need to read them all.
        measured = store.scan(examples["key"]).drop(*NESTED, strict=False).collect()
        rows = examples.join(measured, on="key", how="left", maintain_order="left")
        yield from run.check_results(spectra_checks(run.workspace, run.study, run.partition, rows))
        run.record_step(protocol)
        if missing_keys or not run.was_current:
            run.table.write(rows, run.version, _data(run.version, rows))
        computed = rows.filter(pl.col("key").is_in(missing_keys))
        preview = rows.select(
            "style", "relevance", "tokens", "loss", "seconds", "reason", "instruction"
        )
        metadata = {**summarize_rows(rows, computed), "first_rows": markdown_table(preview)}
        yield run.result(metadata, computed.height)


def spectra_checks(
    workspace: Workspace, study: Study, partition: Partition, rows: pl.DataFrame
) -> list[Check]:
    """The checks of a partition's stored spectra; ``rows`` are those of its index."""
    config = study.model(partition.model)
    # Which factors there are, only the adapter knows.
    factors = config.adapter == "factors"
    projections = () if factors else study.protocol_of(config).projections
    store = workspace.spectra(partition.model, partition.benchmark)
    return [
        *check_spectra(rows, store.chunks(rows["key"]), projections),
        check_rows(rows, study.unusable_limit),
        check_weights(partition.model, find_equal_models(study, EQUAL_MODELS_MAX_AGE)),
    ]


def _stored_checks(versions: Versions, partition: Partition) -> list[Check]:
    rows = versions.table(GRADIENT_SPECTRA, partition).read()
    return spectra_checks(versions.workspace, versions.study, partition, rows)


def _report_limited_run(
    context: dg.AssetExecutionContext, computed: int, missing: int
) -> Iterator[dg.AssetCheckResult | dg.AssetObservation]:
    """The events of a run with a ``limit``: the partition is not materialized.

    Dagster requires a result of every check. None is passed while rows are missing.
    """
    context.log.warning(
        f"{missing} rows are still missing: the limit of this run was {computed}. Materialize the "
        "partition again to compute the rest."
    )
    counts = {"computed": computed, "missing": missing}
    for spec in SPECTRA_CHECKS:
        yield dg.AssetCheckResult(
            check_name=spec.name,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description="Not checked yet: rows are missing, since the run had a limit.",
            metadata=counts,
        )
    yield dg.AssetObservation(context.asset_key, partition=context.partition_key, metadata=counts)


def _extract(
    accelerator: Accelerator, run: StageRun, missing: pl.DataFrame, batch_tokens: int | None
) -> None:
    """Compute every missing row and store it, with the study's engine."""
    model, benchmark = run.partition.model, run.partition.benchmark
    config, (source, fingerprint) = run.study.model(model), run.versions.model(model)
    if config.record is not None:
        raise ModelError(
            f"{missing.height} rows of {model} on {benchmark} are missing, and its checkpoint is "
            f"no longer at {config.id}: restore it, or leave the step out of its series."
        )
    if config.checkpoint is not None and config.checkpoint.fetched_to:
        fetch_weights(config.checkpoint)
        fingerprint = content_fingerprint(source)
    store = run.workspace.spectra(model, benchmark)
    work = Work(
        source=source,
        name=config.id,
        fingerprint=fingerprint,
        protocol=run.study.protocol_of(config),
        examples=missing,
        append=store.append,
        missing=store.missing,
        report=accelerator.reporter(run.context, model, benchmark),
        placement=config.placement,
        rewritable=config.checkpoint is not None and source.kind == "folder",
        batch_tokens=batch_tokens,
    )
    accelerator.extract(work, run.study)


def _version(versions: Versions, partition: Partition) -> str:
    """Examples, protocol, model weights, extractor version."""
    return content_hash(
        EXTRACTOR_VERSION,
        versions.data(RESPONSES, RESPONSES.files.partition_of(partition)),
        versions.protocol_key(partition.model),
        versions.row_identity(partition.model),
    )


def _data(version: str, rows: pl.DataFrame) -> str:
    """The identity of the content: the inputs, and the rows that cannot be used.

    Whether a row is usable is the one thing that does not follow from the inputs. A row that did
    not fit in the memory may be recomputed, and then the report is stale.
    """
    unusable = rows.filter(pl.col("reason").is_not_null()).select("key", "reason")
    return content_hash(version, unusable.unique().sort("key").rows())


GRADIENT_SPECTRA = Stage(
    asset=gradient_spectra,
    files=SPECTRA_FILES,
    reads=(RESPONSES,),
    version=_version,
    checks=_stored_checks,
    job="model_gradients",
)
