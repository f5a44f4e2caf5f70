"""Asset checks: what the library found in a partition, as Dagster records it."""

import warnings
from collections.abc import Iterable, Iterator

import dagster as dg

from gradpipe.check import Check
from gradpipe.errors import DataError


def check_spec(
    asset: str,
    name: str,
    description: str,
    partitions: dg.PartitionsDefinition[str],
    blocking: bool = True,
) -> dg.AssetCheckSpec:
    """A check that its asset runs itself; a blocking one keeps the partition from its children."""
    with warnings.catch_warnings():
        # Checks by partition are a preview in Dagster 1.13; without them a grid has one verdict.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name, asset=asset, description=description, blocking=blocking, partitions_def=partitions
        )


def check_results(
    checks: Iterable[Check], specs: Iterable[dg.AssetCheckSpec], partition: str
) -> Iterator[dg.AssetCheckResult]:
    """Yield every check as Dagster's result, then raise DataError if a blocking one failed.

    Raising is what blocks: a table is written after its checks, so that a bad partition stays out
    of the report from every entry point, not only within one Dagster run.
    """
    blocking = {spec.name: spec.blocking for spec in specs}
    failed = []
    for check in checks:
        stops = blocking[check.name]
        if not check.passed and stops:
            failed.append(check)
        yield dg.AssetCheckResult(
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN,
            description=f"{check.note[0].upper()}{check.note[1:]}.",
            metadata=dict(check.numbers),
        )
    if failed:
        raise DataError(
            f"{partition} is kept out of the report, since it fails "
            + "; ".join(f"{check.name} ({check.note})" for check in failed)
            + ": find out why, then remove its rows with `gradpipe models remove NAME --rows` and "
            "compute them again."
        )
