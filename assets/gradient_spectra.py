"""Stage three: the gradients of every example and their singular values, on the accelerator."""

from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.accelerator import Accelerator
from assets.partitions import grid_partitions, model_and_benchmark
from assets.responses import responses
from assets.results import result
from assets.versions import Versions
from gradpipe.gradients.examples import extract_examples
from gradpipe.gradients.extract import EXTRACTOR_VERSION
from gradpipe.gradients.keys import with_keys
from storage.workspace import Workspace


@dg.asset(
    group_name="gradients",
    kinds={"torch", "parquet"},
    partitions_def=grid_partitions,
    deps=[responses],
    code_version=EXTRACTOR_VERSION,
    pool="gpu",
)
def gradient_spectra(
    context: dg.AssetExecutionContext, accelerator: dg.ResourceParam[Accelerator]
) -> dg.MaterializeResult[Any]:
    """Singular values of the loss gradient at Q, K, V and O of every layer, for every example.

    A row that is in the store is never computed again: its key is a hash of the example, the
    protocol, the model's fingerprint and the extractor's version. Rows are kept batch by batch, so
    a run that is stopped resumes where it stopped; where nothing is missing, no model is loaded.
    """
    started = perf_counter()
    model, benchmark = model_and_benchmark(context)
    workspace = Workspace.current()
    study = workspace.study()
    versions = Versions(workspace, study)
    version = versions.spectra(model, benchmark)
    index, store = workspace.spectra_index(model, benchmark), workspace.spectra(model, benchmark)
    source, fingerprint = versions.model(model)
    protocol = study.protocol_of(study.model(model))
    examples = with_keys(workspace.responses(benchmark).read(), protocol, fingerprint)
    missing = examples.filter(pl.col("key").is_in(store.missing(examples["key"]))).unique(
        "key", maintain_order=True
    )
    metadata: dict[str, Any] = {}
    if missing.height:
        loaded = accelerator.load(source, study.model(model).id, fingerprint, protocol.dtype)
        report = accelerator.reporter(context, model, benchmark)
        for rows in extract_examples(loaded, missing, protocol, report):
            store.append(rows)
        metadata["device"] = loaded.device
    if missing.height or not index.is_current(version):
        measured = store.scan(examples["key"]).drop("matrices").collect()
        # What the spectra are made from names their content: there is no need to read them all.
        index.write(
            examples.join(measured, on="key", how="left", maintain_order="left"), version, version
        )
    rows = index.read()
    seconds = perf_counter() - started
    computed = rows.filter(pl.col("key").is_in(missing["key"].implode()))
    return result(
        index.require_notes(),
        computed=computed.height,
        reused=rows.height - computed.height,
        seconds=seconds,
        metadata=metadata
        | {
            "tokens": int(rows["tokens"].sum()),
            "tokens_per_second": round(int(computed["tokens"].sum()) / seconds, 1),
            "unusable": int(rows["reason"].is_not_null().sum()),
            "truncated": int(rows["truncated"].sum()),
            "mean_loss": rows["loss"].mean() or float("nan"),
        },
    )
