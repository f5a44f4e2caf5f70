"""The assets of the stages under other names, for a study in somebody else's code location."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from inspect import Signature, signature
from typing import Any, get_type_hints

import dagster as dg

from assets.checks import check_spec
from assets.code_references import with_code_references
from assets.naming import Naming
from assets.planning.versions import Stage
from assets.stages import STAGES


def derived_asset(stage: Stage, names: Naming, resources: Mapping[str, Any]) -> dg.AssetsDefinition:
    """The asset of a stage with other names, which uses these resources.

    The resources are bound to the asset, so that two studies have different ones without needing
    different keys of resources.
    """
    (original,) = with_code_references([stage.asset])
    spec = original.get_asset_spec()
    partitions = names.partitions.definition(stage.files.partitioned_by)
    return dg.asset(
        name=stage.name,
        key_prefix=names.prefix or None,
        description=spec.description,
        metadata=spec.metadata,
        deps=[names.key(dep.asset_key.path[-1]) for dep in spec.deps],
        group_name=names.group,
        kinds=spec.kinds,
        code_version=spec.code_version,
        owners=names.owners,
        tags={**_plain_tags(spec), **names.tags},
        op_tags=names.op_tags.get(stage.name),
        partitions_def=partitions,
        backfill_policy=original.backfill_policy,
        automation_condition=names.condition,
        freshness_policy=names.freshness if stage.summarizes else None,
        pool=names.pool if stage.pool else None,
        output_required=original.op.output_dict["result"].is_required,
        check_specs=[
            check_spec(
                names.key(stage.name),
                check.name,
                check.description or "",
                partitions,
                blocking=check.blocking,
            )
            for check in original.check_specs
        ],
    )(bind(_function_of(original), resources))


def derived_assets(names: Naming, resources: Mapping[str, Any]) -> list[dg.AssetsDefinition]:
    """The assets of all stages; see ``derived_asset``."""
    return [derived_asset(stage, names, resources) for stage in STAGES]


def bind(function: Callable[..., Any], resources: Mapping[str, Any]) -> Callable[..., Any]:
    """The function without its parameters that are named like one of the resources.

    Dagster reads the parameters, and their types, that the bound function declares.
    """
    parameters = signature(function).parameters
    bound = {name: resource for name, resource in resources.items() if name in parameters}
    hints = get_type_hints(function, include_extras=True)

    def compute(*arguments: Any, **others: Any) -> Any:
        return function(*arguments, **others, **bound)

    update_wrapper(compute, function)
    del compute.__wrapped__  # type: ignore[attr-defined]
    # Dagster would read the results that a generator yields from its annotation, but only of a
    # function that is a generator itself.
    kept = {name: hint for name, hint in hints.items() if name not in {*bound, "return"}}
    compute.__annotations__ = kept
    compute.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            parameter.replace(annotation=kept.get(name, parameter.annotation))
            for name, parameter in parameters.items()
            if name not in bound
        ]
    )
    return compute


def _function_of(asset: dg.AssetsDefinition) -> Callable[..., Any]:
    """The function that an asset was declared with."""
    compute: Any = asset.op.compute_fn
    function: Callable[..., Any] = compute.decorated_fn
    return function


def _plain_tags(spec: dg.AssetSpec) -> dict[str, str]:
    """An asset's tags without those of its kinds, which Dagster adds itself."""
    return {key: tag for key, tag in spec.tags.items() if not key.startswith("dagster/kind/")}
