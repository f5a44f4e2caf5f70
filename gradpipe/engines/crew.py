"""The crew: the actors of one model, who is at what, and who takes a dead one's place."""

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

#: How many actors in a row may die in one place, none of which kept a row, until it stays empty.
LIVES = 3


class ActorLostError(Exception):
    """An actor that died, or that cannot be reached; says why."""


@dataclass(eq=False)
class Member:
    """An actor; ``pid`` is None until its model is loaded, ``shard`` None where it has no work.

    ``fruitless`` counts those in its place that died before it without having kept a row;
    ``proven`` says that rows of it were seen in the store.
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
    ) -> None:
        """Give it a shard, whose rows are ``examples``."""
        self.shard = shard
        self.asked = self.handle.extract.remote(examples, protocol, append)

    def hear(self) -> list[str] | None:
        """The keys of the rows that it kept; None where it is done with what it was asked.

        Raises GradpipeError for what it could not do, ActorLostError where it died.
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
        """Forget how often actors died: for new work, every place may be taken."""
        self._vacancies = [0] * (self._share.actors - len(self.members))

    def fill(self, shards: int) -> None:
        """Start actors in empty places, no more than there are shards for."""
        import ray

        actor: Any = ray.remote(Extractor).options(**self._share.options())
        free = sum(member.shard is None for member in self.members)
        while self._vacancies and free < shards:
            handle = actor.remote(self.order)
            self.members.append(Member(handle, self._vacancies.pop(), handle.load.remote()))
            free += 1

    def idle(self) -> list[Member]:
        """Those that can take a shard."""
        return [member for member in self.members if member.asked is None]

    def loaded(self) -> list[Member]:
        """Those whose model is in memory."""
        return [member for member in self.members if member.pid is not None]

    def at_work(self) -> bool:
        """Whether anybody has a shard."""
        return any(member.shard is not None for member in self.members)

    def wait(self, seconds: float) -> Member | None:
        """One that has something to say, or None where nobody had for so long."""
        import ray

        asked = [member for member in self.members if member.asked is not None]
        if not asked:
            return None
        heard, _ = ray.wait([member.asked for member in asked], timeout=seconds)
        return next((member for member in asked if any(it is member.asked for it in heard)), None)

    def lose(self, member: Member) -> None:
        """Take a dead member's place back, as long as the place has lives."""
        import ray

        # One that cannot be reached may be alive, and would go on.
        ray.kill(member.handle)
        self.members.remove(member)
        if member.fruitless + 1 < LIVES:
            self._vacancies.append(member.fruitless + 1)

    def dismiss(self) -> None:
        """End every actor, whatever it is at."""
        import ray

        for member in self.members:
            if ray.is_initialized():
                ray.kill(member.handle)
        self.members = []


def _last_line(error: Exception) -> str:
    """The cause in an error of Ray, which is many lines long."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    dead = [line for line in lines if line.startswith("The actor is dead because")]
    line = (dead or lines or [type(error).__name__])[-1]
    return line.partition(" Some common causes")[0][:300].rstrip(".")
