"""What ranks a file's examples: a table of their spectra, or a model that computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gradpipe.cli.engine_options import gradients_of
from gradpipe.cli.work_folder import work_folder

if TYPE_CHECKING:
    import polars as pl

    from gradpipe.standalone.example_chunks import ExampleChunks
    from gradpipe.standalone.example_runner import ExampleRunner
    from gradpipe.standalone.rank_examples import RankOrder


@contextmanager
def ranker_of(
    source: Path | ExampleRunner,
    chunks: ExampleChunks,
    order: RankOrder,
    *,
    data: str,
    work: Path | None,
    out: Path,
    keep_spectra: bool,
    engine: str,
    ray: tuple[str, ...],
) -> Iterator[Callable[[], pl.DataFrame]]:
    """The function that ranks ``chunks`` in ``order``; finished rows are kept while it runs."""
    from gradpipe.cli.progress import ProgressView
    from gradpipe.standalone.rank_file import rank_by_spectra
    from gradpipe.standalone.ranking_run import RankingRun

    with ProgressView() as view:
        if isinstance(source, Path):
            # It may have downloads, which go with it.
            with work_folder(work, out):
                yield lambda: rank_by_spectra(source, chunks, order)
            return
        alone = "ifd" in order.extras.names
        with (
            work_folder(work, out) as kept,
            gradients_of(engine, ray, source, alone=alone) as gradients,
        ):
            run = RankingRun(
                chunks,
                source,
                order,
                kept=kept,
                gradients=gradients,
                keep_spectra=keep_spectra,
                report=lambda progress: view.run(data, progress),
            )
            yield run.run
