"""Where the code of an asset is: Dagster's UI opens the file in an editor."""

import warnings
from collections.abc import Iterable

import dagster as dg


def with_code_references(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets with the file and line of their functions."""
    with warnings.catch_warnings():
        # In beta in Dagster 1.13; each asset would warn several times at every command.
        warnings.simplefilter("ignore", dg.BetaWarning)
        referring = dg.with_source_code_references([*assets])
    return [asset for asset in referring if isinstance(asset, dg.AssetsDefinition)]
