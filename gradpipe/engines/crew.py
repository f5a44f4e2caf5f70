"""The crew: the actors of one model, their assigned shards, and replacements for dead actors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradpipe.engines.actor import Extractor, ModelOrder
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.engines.connection import Share
    from gradpipe.engines.shards import Shard
    from gradpipe.gradients.protocol import Protocol

_log = logging.getLogger(__name__)

#: A place stays empty after this many actors in a row die there without storing a row.
MOST_LOSSES = 3


class ActorLostError(Exception):
    """An actor died or is unreachable; the message says why."""


@dataclass(eq=False)
class Member:
    """An actor: ``pid`` is None until its model is loaded, ``shard`` is None while it is idle.

    ``fruitless`` counts its predecessors in the same place that died without storing a row;
    ``proven`` is true once rows from this actor were seen in the store.
    """

    handle: Any
    fruitless: int
    asked: Any
    pid: int | None = None
    machine: str = ""
    shard: Shard | None = None
    proven: bool = False

    def start(
        self,
        shard: Shard,
        examples: pl.DataFrame,
        protocol: Protocol,
        append: Callable[[pl.DataFrame], None],
        *,
        budget: int | None = None,
    ) -> None:
        """Assign a shard to the actor; ``examples`` are the rows of the shard.

        ``budget`` is passed to ``extract_rows``.
        """
        self.shard = shard
        self.asked = self.handle.extract.remote(examples, protocol, append, budget)

    def receive(self) -> list[str] | None:
        """Return the keys of the rows that the actor stored, or None if it finished its task.

        Raises GradpipeError if the task failed, ActorLostError if the actor died.
        """
        import ray

        try:
            answer = ray.get(self.asked if self.pid is None else next(self.asked))
        except StopIteration:
            self.asked = self.shard = None
            return None
        except ray.exceptions.RayTaskError as error:
            raise GradpipeError(f"An actor cannot do its work ({_last_line(error)}).") from None
        except ray.exceptions.RayError as error:
            raise ActorLostError(_last_line(error)) from None
        if isinstance(answer, GradpipeError):
            raise answer
        if self.pid is None:
            self.pid, self.machine = answer
            self.asked = None
            return None
        self.fruitless = 0
        return list(answer)


class Crew:
    """At most ``share.actors`` actors, each with the model of ``order``."""

    def __init__(self, order: ModelOrder, share: Share) -> None:
        self.order = order
        self.members: list[Member] = []
        self._share = share
        self._vacancies: list[int] = []

    def refresh(self) -> None:
        """Reset the counts of dead actors: new work may use every place."""
        self._vacancies = [0] * (self._share.actors - len(self.members))

    def fill(self, shards: int) -> None:
        """Start actors in empty places, at most one per waiting shard."""
        import ray

        actor: Any = ray.remote(Extractor).options(**self._share.options())
        free = sum(member.shard is None for member in self.members)
        while self._vacancies and free < shards:
            handle = actor.remote(self.order)
            self.members.append(Member(handle, self._vacancies.pop(), handle.load.remote()))
            free += 1

    def idle(self) -> list[Member]:
        """Return the actors that can take a shard."""
        return [member for member in self.members if member.asked is None]

    def loaded(self) -> list[Member]:
        """Return the actors whose model is in memory."""
        return [member for member in self.members if member.pid is not None]

    def at_work(self) -> bool:
        """Return whether any actor has a shard."""
        return any(member.shard is not None for member in self.members)

    def wait(self, seconds: float) -> Member | None:
        """Return an actor that has a result, or None after a timeout."""
        import ray

        asked = [member for member in self.members if member.asked is not None]
        if not asked:
            return None
        ready, _ = ray.wait([member.asked for member in asked], timeout=seconds)
        return next((member for member in asked if any(it is member.asked for it in ready)), None)

    def lose(self, member: Member) -> None:
        """Free the place of a dead actor, unless too many actors in a row died there."""
        import ray

        # An unreachable actor may still be alive and would keep working.
        ray.kill(member.handle)
        self.members.remove(member)
        if member.fruitless + 1 < MOST_LOSSES:
            self._vacancies.append(member.fruitless + 1)

    def stop(self) -> None:
        """Stop every actor, even one that is working."""
        import ray

        for member in self.members:
            if ray.is_initialized():
                ray.kill(member.handle)
        self.members = []


def _last_line(error: Exception) -> str:
    """Return the cause from Ray's multi-line error."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    dead = [line for line in lines if line.startswith("The actor is dead because")]
    line = (dead or lines or [type(error).__name__])[-1]
    return line.partition(" Some common causes")[0][:300].rstrip(".")
