"""The scores of a table's examples, computed chunk by chunk, of which only statistics are kept."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

import polars as pl

from gradpipe.conversations.examples import Example
from gradpipe.gradients.rows import Progress
from gradpipe.gradients.tokens import truncation_sentence
from gradpipe.standalone.chunk_gradients import Gradients, LocalGradients, MissingRows
from gradpipe.standalone.example_chunks import ExampleChunk, ExampleChunks
from gradpipe.standalone.example_runner import ExampleRunner
from gradpipe.standalone.extra_scores import CommonRows
from gradpipe.standalone.extraction_run import SPECTRA, without_sketches
from gradpipe.standalone.kept_rows import KEPT_SPECTRA, KeptRows, NothingKept, RowKeeper
from gradpipe.standalone.rank_examples import RankOrder, target_in_order
from gradpipe.standalone.run_plan import plan_run
from gradpipe.standalone.run_progress import ProgressOfRun, RunProgress
from gradpipe.standalone.scored_rows import KEPT_SCORES, ScoreRows, needed_of, score_identity
from gradpipe.statistics.sets.target_alignment import TargetSet

#: The kinds of kept rows: scores, and spectra with sketches.
SCORES, SKETCHES = "scores", "sketches"
#: The name of the segment of a target set: no row of the data has this number.
_TARGET = 10**12 - 1
_log = logging.getLogger(__name__)


class RankingRun:
    """Scores the examples of ``chunks`` as ``order`` needs it.

    ``kept`` keeps finished rows between two runs: their statistics, and with ``keep_spectra`` their
    spectra too, from which later commands with another statistic or ``extract`` go on. Spectra that
    are kept already are not computed. ``gradients`` computes rows, by default in this process.
    """

    def __init__(
        self,
        chunks: ExampleChunks,
        runner: ExampleRunner,
        order: RankOrder,
        *,
        kept: KeptRows | None = None,
        gradients: Gradients | None = None,
        keep_spectra: bool = False,
        report: Callable[[RunProgress], None] = lambda _: None,
    ) -> None:
        kept = kept or NothingKept()
        extras = order.extras
        self._chunks = chunks
        self._runner = runner
        self._order = order
        self._ifd = "ifd" in extras.names
        self._gradients = gradients or LocalGradients(runner, alone=self._ifd)
        self._keep_spectra = keep_spectra
        self._report = report
        self._identity = score_identity(order.by, extras)
        self._truncated = self._unusable = 0
        self._scores = RowKeeper(kept, SCORES, KEPT_SCORES)
        kind = SKETCHES if extras.needs_sketches else SPECTRA
        self._spectra = RowKeeper(kept, kind, KEPT_SPECTRA)
        self._targets = RowKeeper(kept, SKETCHES, KEPT_SPECTRA)

    def run(self) -> pl.DataFrame:
        """The ranking: ``row`` and the columns of the order, in order. Raises GradpipeError."""
        next(iter(self._chunks))
        self._keys = self._runner.keys
        extras = self._order.extras
        self._common = CommonRows(extras, frozenset(self._keys.of(extras.target or ())))
        plan = plan_run(self._chunks, self._runner, self._score_keys, self._scores)
        self._progress = ProgressOfRun(plan.rows, plan.kept, self._report)
        self._score = ScoreRows(
            by=self._order.by,
            target=self._target() if plan.kept < plan.rows else None,
            directions=extras.diverse,
        )
        parts = [self._scored(chunk) for chunk in self._chunks]
        self._common.note()
        if self._truncated:
            usable = plan.rows - self._unusable
            _log.warning("%s", truncation_sentence(self._truncated, usable, self._runner.window))
        return self._order.of_scored(pl.concat(parts))

    def _score_keys(self, examples: Sequence[Example]) -> list[str]:
        return self._of_spectra(self._keys.of(examples))

    def _of_spectra(self, keys: Sequence[str]) -> list[str]:
        """The keys of scores by those of spectra."""
        start = hashlib.sha256(self._identity.encode())
        hashes = []
        for key in keys:
            whole = start.copy()
            whole.update(key.encode())
            hashes.append(whole.hexdigest()[:20])
        return hashes

    def _scored(self, chunk: ExampleChunk) -> pl.DataFrame:
        """The SCORED rows of a chunk, with ``row``."""
        keys, first = self._keys.of(chunk.examples), chunk.rows[0]
        self._common.look_at(chunk.rows, keys)
        scores = self._of_spectra(keys)
        if missing := self._scores.gather(first, scores):
            names = dict(zip(scores, keys, strict=True))
            self._compute(chunk, scores, missing, names)
        rows = self._scores.rows(first, scores).drop("key")
        usable = rows.filter(pl.col("reason").is_null())
        self._truncated += int(usable["truncated"].sum())
        self._unusable += rows.height - usable.height
        numbered = rows.with_columns(pl.Series("row", chunk.rows, pl.Int64))
        return needed_of(numbered, self._order.extras)

    def _compute(
        self, chunk: ExampleChunk, scores: list[str], missing: list[str], names: dict[str, str]
    ) -> None:
        """Compute what is missing; ``names`` are the keys of spectra by those of scores."""
        first, keys = chunk.rows[0], [names[score] for score in scores]
        wanted = [names[score] for score in missing]
        aligned = self._keep_spectra or self._order.extras.needs_sketches
        absent = self._spectra.gather(first, wanted)
        if absent and self._keep_spectra:
            sketches = self._order.extras.needs_sketches
            rows = MissingRows.of_chunk(chunk, keys, absent, sketched=sketches)
            self._compute_spectra(rows)
            absent = []
        there = sorted(set(wanted) - set(absent), key=wanted.index)
        if there:
            self._score_kept(MissingRows.of_chunk(chunk, keys, there))
        if absent:
            of = {key: score for score, key in names.items()}
            rows = MissingRows.of_chunk(chunk, scores, [of[key] for key in absent], aligned=aligned)
            self._gradients.compute(rows, self._scores, self._score, self._progress.chunk)
            self._progress.chunk_ended()

    def _compute_spectra(self, rows: MissingRows) -> None:
        kept = _unchanged if rows.sketched else without_sketches
        self._gradients.compute(rows, self._spectra, kept, self._progress.chunk)
        self._progress.chunk_ended()

    def _score_kept(self, rows: MissingRows) -> None:
        """Score examples whose spectra are kept."""
        found = self._spectra.rows(rows.first_row, rows.keys)
        if self._ifd:
            encoded = self._runner.encode(rows.examples, numbers=rows.numbers, note=False)
            alone = pl.Series("alone", self._runner.losses_alone(encoded), pl.Float64)
            found = found.with_columns(alone)
        keys = pl.Series("key", self._of_spectra(rows.keys))
        scored = self._score(found).with_columns(keys)
        for _ in self._scores.keep(rows.first_row, [scored]):
            pass

    def _target(self) -> TargetSet | None:
        """The target set, whose gradients are kept too."""
        extras = self._order.extras
        if extras.target is None:
            return None
        keys = self._keys.of(extras.target)
        chunk = ExampleChunk(0, [_TARGET] * len(keys), list(extras.target))
        if missing := self._targets.gather(_TARGET, keys):
            # Its rows are named by their places in it.
            encoded = self._runner.encode(extras.target, name=f"{extras.target_name}, row")
            del encoded
            rows = MissingRows.of_chunk(chunk, keys, missing)
            self._gradients.compute(rows, self._targets, _unchanged, _silent)
        found = self._targets.rows(_TARGET, keys).with_row_index("row")
        return target_in_order(found.cast({"row": pl.Int64}), extras)


def _unchanged(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def _silent(progress: Progress) -> None:
    del progress
