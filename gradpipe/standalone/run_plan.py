"""What is known of a command's data before the first gradient is computed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradpipe.conversations.examples import Example, ExamplesHash
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.kept_rows import RowKeeper
from gradpipe.system.hashing import ContentHash

_log = logging.getLogger(__name__)


@dataclass
class RunPlan:
    """``rows`` selected examples, of which ``kept`` need no computing.

    ``shards`` has for each shard, in order, the hash of its examples and that of their numbers.
    """

    rows: int = 0
    kept: int = 0
    shards: list[tuple[str, str]] = field(default_factory=list)


def plan_run(
    chunks: ExampleChunks,
    runner: ExampleRunner,
    keys: Callable[[Sequence[Example]], list[str]],
    keeper: RowKeeper,
) -> RunPlan:
    """Read all examples once. Raises the errors of the data, overlong responses among them.

    ``keys`` are those under which ``keeper`` keeps the rows.
    """
    plan, overlong = RunPlan(), runner.overlong()
    hashed, numbers = ExamplesHash(), ContentHash()
    for chunk in chunks:
        if chunks.ends and plan.rows and plan.rows % chunks.ends == 0:
            plan.shards.append((hashed.hexdigest(), numbers.hexdigest()))
            hashed, numbers = ExamplesHash(), ContentHash()
        hashed.add(chunk.examples)
        for number in chunk.rows:
            numbers.add(number)
        plan.rows += len(chunk.rows)
        overlong.look_at(chunk.examples, chunk.rows)
        of_chunk = keys(chunk.examples)
        missing = set(keeper.missing(chunk.rows[0], of_chunk))
        plan.kept += sum(key not in missing for key in of_chunk)
    plan.shards.append((hashed.hexdigest(), numbers.hexdigest()))
    overlong.refuse()
    if plan.kept:
        _log.info("%s of %s rows are kept already.", f"{plan.kept:,}", f"{plan.rows:,}")
    return plan
