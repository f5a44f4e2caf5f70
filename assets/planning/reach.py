"""Whether the rows of a partition can be had: a step whose weights are gone has only its rows."""

from __future__ import annotations

from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.planning.versions import Stage, Versions
from assets.responses import RESPONSES
from gradpipe.gradients.rows import with_keys
from storage.stages import Partition


def is_within_reach(versions: Versions, stage: Stage, partition: Partition) -> bool:
    """Whether a stage that is not current can be computed now.

    Gradients need the model's weights, unless the store has all rows. Of a step whose weights are
    gone, this is known once the responses are current.
    """
    if stage is not GRADIENT_SPECTRA or versions.config(partition.model).record is None:
        return True
    if not versions.is_current(RESPONSES, RESPONSES.files.partition_of(partition)):
        return False
    keys = with_keys(
        versions.workspace.responses(partition.benchmark).read(),
        versions.protocol(partition.model),
        versions.row_identity(partition.model),
    )["key"]
    return not versions.workspace.spectra(partition.model, partition.benchmark).missing(keys)
