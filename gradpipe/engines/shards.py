"""Shards: what an actor takes at a time, and what becomes of those whose actor died."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: Shards an actor, where there are enough tokens, so that all actors end at about the same time.
SHARDS_PER_ACTOR = 8
#: Tokens of a shard where there are enough for all: a few full batches of an accelerator.
SHARD_TOKENS = 16384
#: Tokens that are worth an actor of their own: a full batch of a CPU.
LEAST_TOKENS = 1024
#: How many actors a shard may end, without one row of it being done, before it is given up.
STRIKES = 3


@dataclass(frozen=True)
class Shard:
    """Rows by their keys, of like length; ``strikes`` counts the actors that died of them."""

    keys: tuple[str, ...]
    strikes: int = 0


def cut_shards(tokens: Mapping[str, int], actors: int) -> list[Shard]:
    """Every row (its key → its tokens) in one shard of about equally many tokens, longest first.

    Rows of like length are together, since they share batches. The longest rows are the slowest a
    token, so they are not what the others wait for at the end.
    """
    total = sum(tokens.values())
    one_each = min(actors, total // LEAST_TOKENS)
    count = max(1, one_each, min(actors * SHARDS_PER_ACTOR, total // SHARD_TOKENS))
    shards: list[list[str]] = [[]]
    filled = 0
    for key in sorted(tokens, key=lambda key: (-tokens[key], key)):
        if shards[-1] and len(shards) < count and filled * count >= total * len(shards):
            shards.append([])
        shards[-1].append(key)
        filled += tokens[key]
    return [Shard(tuple(reversed(keys))) for keys in shards if keys]


class Backlog:
    """The shards that are still to be done; rows that end every actor are set apart."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._waiting = deque(shards)
        #: Rows that were given up.
        self.hopeless: list[str] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> Shard:
        """The next shard; raises IndexError where there is none."""
        return self._waiting.popleft()

    def give_back(self, shard: Shard, missing: Sequence[str]) -> None:
        """Put back what is missing of a shard whose actor died, behind all others.

        The first time it may have been the machine, so it goes to another actor as it is. After the
        second its rows go one by one: those that do no harm are done, and the one that does is
        known by its name.
        """
        strikes = 1 if len(missing) < len(shard.keys) else shard.strikes + 1
        if not missing:
            return
        if strikes >= STRIKES and len(missing) == 1:
            self.hopeless.extend(missing)
        elif strikes >= STRIKES - 1:
            self._waiting.extend(Shard((key,), strikes) for key in missing)
        else:
            self._waiting.append(Shard(tuple(missing), strikes))

    def give_up(self) -> None:
        """Set apart all that waits: there is nobody left to take it."""
        while self._waiting:
            self.hopeless.extend(self.take().keys)
