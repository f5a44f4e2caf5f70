"""Asset checks: the library's checks of a partition as Dagster results."""

import warnings
from collections.abc import Iterable, Iterator

import dagster as dg

from gradpipe.check import Check
from gradpipe.errors import DataError


def check_spec(
    asset: str | dg.AssetKey,
    name: str,
    description: str,
    partitions: dg.PartitionsDefinition[str] | None,
    blocking: bool = True,
) -> dg.AssetCheckSpec:
    """A check that its asset runs; if it is blocking and fails, downstream stages do not run."""
    with warnings.catch_warnings():
        # Partitioned checks are a preview in Dagster 1.13; without them a grid has one result.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions
        )


def severity_of(spec: dg.AssetCheckSpec) -> dg.AssetCheckSeverity:
    """How serious a failure of the check is."""
    return dg.AssetCheckSeverity.ERROR if spec.blocking else dg.AssetCheckSeverity.WARN


def check_results(
    checks: Iterable[Check], specs: Iterable[dg.AssetCheckSpec], partition: str, cure: str
) -> Iterator[dg.AssetCheckResult]:
    """Yield every check as Dagster's result, then raise DataError if a blocking one failed.

    The error is what blocks: a table is written after its checks, so a bad partition is excluded
    from the report at every entry point, not only within one Dagster run. ``cure`` is what to do.
    """
    specs_by_name = {spec.name: spec for spec in specs}
    failed = []
    for check in checks:
        spec = specs_by_name[check.name]
        if not check.passed and spec.blocking:
            failed.append(check)
        yield dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=severity_of(spec),
            description=check.sentence,
            metadata=dict(check.numbers),
        )
    if failed:
        raise DataError(
            f"{partition} is excluded from the report because it fails "
            + "; ".join(f"{check.name} ({check.note})" for check in failed)
            + f": {cure}."
        )
