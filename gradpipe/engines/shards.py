"""Shards: units of work for one actor, and their recovery after an actor dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Shards per actor, if there are enough tokens, so that all actors end at about the same time.
SHARDS_PER_ACTOR = 8
#: Tokens per shard, if there are enough: a few full batches of an accelerator.
SHARD_TOKENS = 16384
#: Minimum number of tokens that justify another actor: a full batch on a CPU.
LEAST_TOKENS = 1024
#: A shard is given up after it kills this many actors without finishing a row.
STRIKES = 3


@dataclass(frozen=True)
class Shard:
    """Keys of rows of similar length; ``strikes`` counts the actors that died on them."""

    keys: tuple[str, ...]
    strikes: int = 0


def cut_shards(tokens: Mapping[str, int], actors: int) -> list[Shard]:
    """Divide rows (key → tokens) into shards with similar numbers of tokens, longest rows first.

    Rows of similar length are together, since they share batches. The longest rows are the slowest
    per token, so they come first to avoid waiting for them at the end.
    """
    total = sum(tokens.values())
    with_work = min(actors, total // LEAST_TOKENS)
    count = max(1, with_work, min(actors * SHARDS_PER_ACTOR, total // SHARD_TOKENS))
    shards: list[list[str]] = [[]]
    filled = 0
    for key in sorted(tokens, key=lambda key: (-tokens[key], key)):
        if shards[-1] and len(shards) < count and filled * count >= total * len(shards):
            shards.append([])
        shards[-1].append(key)
        filled += tokens[key]
    return [Shard(tuple(reversed(keys))) for keys in shards if keys]


class Backlog:
    """Queue of unfinished shards; rows that kill every actor are removed from it."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._waiting = deque(shards)
        #: Rows that killed every actor.
        self.failed: list[str] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> Shard:
        """Return the next shard; raises IndexError if no shard is left."""
        return self._waiting.popleft()

    def give_back(self, shard: Shard, missing: Sequence[str]) -> None:
        """Requeue the missing rows of a shard whose actor died, behind all other shards.

        The first failure may be the machine's, so the shard goes to another actor unchanged. After
        the second, its rows are queued one by one: harmless rows finish, and the harmful row is
        identified by name.
        """
        strikes = 1 if len(missing) < len(shard.keys) else shard.strikes + 1
        if not missing:
            return
        if strikes >= STRIKES and len(missing) == 1:
            self.failed.extend(missing)
        elif strikes >= STRIKES - 1:
            self._waiting.extend(Shard((key,), strikes) for key in missing)
        else:
            self._waiting.append(Shard(tuple(missing), strikes))

    def give_up(self) -> None:
        """Give up all waiting shards: no actor is left to take them."""
        while self._waiting:
            self.failed.extend(self.take().keys)
