"""Pools without a stored limit, in a Postgres database.

Dagster 1.13.27 stores a pool's limit when a run first claims a slot. In Postgres this fails if the
row exists already: if two runs are the first to claim a slot of the pool, and if the default limit
was changed. Upstream issue: dagster-io/dagster 33552.
"""

from collections.abc import Iterable

import dagster as dg


def set_pool_limits(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Store the limit of each pool before any run claims a slot of it."""
    pools, default = instance.event_log_storage, instance.global_op_concurrency_default_limit
    limits = {limit.name: limit for limit in pools.get_pool_limits()}
    for name in names:
        limit = limits.get(name)
        if limit and limit.from_default and limit.limit != default:
            pools.delete_concurrency_limit(name)
            limit = None
        if limit is None and default is not None:
            pools.initialize_concurrency_limit_to_default(name)
