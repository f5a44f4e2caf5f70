"""The Ray engine: actors on a cluster each load the model and share the rows.

The machines of the cluster need: gradpipe with the extra ``ray``, in the same versions as on the
machine that starts the run; the model, at the same path where it is a local folder or file, or the
hub's credentials in their environment (HF_TOKEN, HF_HOME); and the workspace, since actors write
their rows themselves: a folder that all of them share at the same path, or an object store with its
credentials in their environment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.engines.actor import ModelOrder
from gradpipe.engines.connection import Connection
from gradpipe.engines.crew import ActorLostError, Crew, Member
from gradpipe.engines.shards import Backlog, cut_shards
from gradpipe.errors import GradpipeError, WorkspaceError
from gradpipe.gradients.rows import Progress

if TYPE_CHECKING:
    from gradpipe.engines.settings import RayConfig
    from gradpipe.engines.work import Work

_log = logging.getLogger(__name__)

#: Seconds to wait for a result of an actor; also the delay before Ctrl-C takes effect.
POLL_SECONDS = 0.5
#: Seconds between repeated messages that no actor is ready yet.
MESSAGE_INTERVAL = 30.0
#: Seconds until rows written by an actor must be visible here; shared folders have delays.
VISIBILITY_TIMEOUT = 90.0


class RayEngine:
    """Compute gradients on a Ray cluster; actors keep their models for the next work.

    Not thread-safe. Raises GradpipeError if Ray is not installed or has no cluster.
    """

    def __init__(self, settings: RayConfig) -> None:
        self.settings = settings
        self._connection = Connection(settings)
        self._crew: Crew | None = None

    @property
    def processes(self) -> list[int]:
        """The ids of the processes that have the model, each on its own machine."""
        members = self._crew.loaded() if self._crew else []
        return [member.pid for member in members if member.pid is not None]

    def extract(self, work: Work) -> None:
        """Return when every row is in the store.

        Another actor computes the rows of an actor that dies. Raises GradpipeError if an actor
        fails, and, once all other rows are finished, for rows that kill every actor.
        """
        from gradpipe.gradients.examples import count_tokens

        if work.examples.is_empty():
            return
        # Raises errors in the examples before any actor starts.
        counted = count_tokens(work.source, work.name, work.protocol, work.examples)
        order = ModelOrder(
            work.source, work.name, work.fingerprint, work.protocol.dtype, work.placement
        )
        if self._crew is None or self._crew.order != order:
            self._stop_actors()
            self._crew = Crew(order, self._connection.share)
        tokens = dict(zip(work.examples["key"], counted, strict=True))
        try:
            _Extraction(work, tokens, self._crew, self._connection.share.actors).run()
        except BaseException:
            # An actor that is not stopped would continue its shard.
            self._stop_actors()
            raise

    def close(self) -> None:
        """Stop the actors, and the cluster if it was started for them."""
        self._stop_actors()
        self._connection.close()

    def _stop_actors(self) -> None:
        if self._crew is not None:
            self._crew.stop()
            self._crew = None


class _Extraction:
    """The run of one work on a crew; ``tokens`` maps row keys to token counts."""

    def __init__(self, work: Work, tokens: dict[str, int], crew: Crew, actors: int) -> None:
        self._work = work
        self._tokens = tokens
        self._crew = crew
        self._backlog = Backlog(cut_shards(tokens, actors))
        self._done: set[str] = set()
        self._done_tokens = 0
        self._last_reason = ""
        self._waiting_since = time.monotonic()

    def run(self) -> None:
        """Hand out shards until none is left; raises GradpipeError."""
        crew, backlog = self._crew, self._backlog
        crew.refresh()
        self._count(())
        while backlog or crew.at_work():
            crew.fill(len(backlog))
            if not crew.members:
                backlog.give_up()
            for member in crew.idle():
                if backlog:
                    self._hand_out(member)
            self._receive(crew.wait(POLL_SECONDS))
        self._require_visible([key for key in self._tokens if key not in backlog.failed])
        if backlog.failed:
            raise self._failed_rows_error()

    def _hand_out(self, member: Member) -> None:
        shard, work = self._backlog.take(), self._work
        keys = pl.DataFrame({"key": shard.keys}, {"key": pl.String})
        rows = keys.join(work.examples, on="key", maintain_order="left")
        member.start(shard, rows, work.protocol, work.append, budget=work.batch_tokens)

    def _receive(self, member: Member | None) -> None:
        if member is None:
            self._report_waiting()
            return
        shard = member.shard
        try:
            stored = member.receive()
        except ActorLostError as loss:
            self._lose(member, str(loss))
            return
        if stored is not None:
            self._count(stored)
        elif shard is not None and not member.proven:
            # Check early: rows written elsewhere would all have to be recomputed.
            self._require_visible(shard.keys, member.machine)
            member.proven = True

    def _count(self, keys: Iterable[str]) -> None:
        new = set(keys) - self._done
        self._done |= new
        self._done_tokens += sum(self._tokens[key] for key in new)
        self._work.report(
            Progress(
                rows=len(self._done),
                tokens=self._done_tokens,
                all_rows=len(self._tokens),
                all_tokens=sum(self._tokens.values()),
            )
        )

    def _lose(self, member: Member, reason: str) -> None:
        self._last_reason = reason
        self._crew.lose(member)
        where = f" on {member.machine}" if member.machine else ""
        _log.warning("an actor%s was lost (%s)", where, reason)
        if member.shard is not None:
            stored = set(member.shard.keys) - set(self._work.missing(member.shard.keys))
            self._count(stored)
            left = [key for key in member.shard.keys if key not in self._done]
            self._backlog.give_back(member.shard, left)

    def _report_waiting(self) -> None:
        if self._crew.loaded():
            self._waiting_since = time.monotonic()
        elif time.monotonic() - self._waiting_since > MESSAGE_INTERVAL:
            self._waiting_since = time.monotonic()
            _log.info("waiting until an actor has a place on the cluster and its model loaded")

    def _require_visible(self, keys: Sequence[str], machine: str = "the cluster") -> None:
        """Raise WorkspaceError if rows that actors wrote do not become visible to this process."""
        until = time.monotonic() + VISIBILITY_TIMEOUT
        while missing := self._work.missing(keys):
            if time.monotonic() > until:
                raise WorkspaceError(
                    f"{len(missing)} rows that {machine} wrote are missing from the workspace on "
                    "this machine: set GRADPIPE_HOME to a folder that all machines share at the "
                    "same path, or to an object store's URL."
                )
            time.sleep(1)

    def _failed_rows_error(self) -> GradpipeError:
        names = self._work.called(self._backlog.failed)
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return GradpipeError(
            f"{len(names)} of {len(self._tokens)} rows killed every actor that computed them "
            f"({shown}; {self._last_reason}): give the actors more memory (fewer of them per "
            "machine, by the study's `ray` settings), or remove these rows; all others are "
            "finished."
        )
