"""What is known of a command's data before the first gradient is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradpipe.conversations.examples import Example, ExamplesHash
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.kept_rows import RowKeeper


@dataclass
class RunPlan:
    """``rows`` selected examples, of which ``kept`` need no computing.

    ``hashes`` has the hash of the examples of each shard, in order, or of all.
    """

    rows: int = 0
    kept: int = 0
    hashes: list[str] = field(default_factory=list)


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
    hashed = ExamplesHash()
    for chunk in chunks:
        if chunks.ends and plan.rows and plan.rows % chunks.ends == 0:
            plan.hashes.append(hashed.hexdigest())
            hashed = ExamplesHash()
        hashed.add(chunk.examples)
        plan.rows += len(chunk.rows)
        overlong.look_at(chunk.examples, chunk.rows)
        of_chunk = keys(chunk.examples)
        missing = set(keeper.missing(chunk.rows[0], of_chunk))
        plan.kept += sum(key not in missing for key in of_chunk)
    plan.hashes.append(hashed.hexdigest())
    overlong.refuse()
    return plan
