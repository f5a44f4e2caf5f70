"""Delete unusable rows so that they are recomputed, unless the weights that computed them are gone.

A step whose checkpoint was deleted has only its rows. Without one of them, none can be reported.
"""

from __future__ import annotations

import dagster as dg
import polars as pl

from assets.planning.versions import Versions
from storage.remote_checkpoints import require_as_listed

#: Tag of a run that has deleted the unusable rows. Its value is the run's id, since Dagster copies
#: tags to a run that is executed again.
_DISCARDED = ".dagster/gradpipe_discarded_unusable"


def discard_unusable_rows(versions: Versions, model: str, benchmark: str) -> str:
    """Delete a partition's unusable rows if its model is available; return a sentence on it.

    Returns "" without such rows. If the model is unavailable, keeps them and raises GradpipeError.
    """
    workspace = versions.workspace
    unusable = workspace.spectra(model, benchmark).scan().filter(pl.col("reason").is_not_null())
    if not (count := unusable.select(pl.len()).collect().item()):
        return ""
    one = count == 1
    rows = f"{count} unusable {'row' if one else 'rows'} of {model} on {benchmark}"
    if versions.config(model).record is not None:
        kept = "is kept" if one else "are kept"
        return f"{rows} cannot be recomputed and {kept}: the weights of that step are gone."
    versions.row_identity(model)
    versions.model(model)
    checkpoint = versions.config(model).checkpoint
    if checkpoint is not None and checkpoint.fetched_to:
        # Its small files may be here after it was deleted from the store.
        require_as_listed(checkpoint)
    workspace.discard_unusable(model, benchmark)
    return f"{rows} {'is' if one else 'are'} recomputed."


def discard_once(
    context: dg.AssetExecutionContext, versions: Versions, cell: tuple[str, str]
) -> None:
    """Do the same once per run, however often its step is retried, and log the sentence."""
    run = context.instance.get_run_by_id(context.run.run_id)
    if run is not None and run.tags.get(_DISCARDED) == run.run_id:
        return
    if sentence := discard_unusable_rows(versions, *cell):
        context.log.info(sentence)
    context.instance.add_run_tags(context.run.run_id, {_DISCARDED: context.run.run_id})
