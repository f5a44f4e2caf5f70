"""Compare gradpipe with other projects on the same rows, each in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import polars as pl

from bench.data import Source, around_median, encode_style, find_source
from bench.passes import TUNING_TOKENS
from bench.peers_child import PeerRow
from bench.peers_methods import PeerMethod, choose_methods
from bench.peers_process import in_fresh_process
from bench.settings import Say, Settings
from gradpipe.errors import DataError
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

#: One row per style, round and method: seconds and tokens of all ``examples``, as the method's own
#: tokenizer counts them; the process's peak while it ran, and its part above the loaded model, in
#: bytes. ``batching``: the chosen tokens per batch. ``version``: that of the method's package.
PEER_TIMINGS = pl.Schema(
    {
        "style": pl.String(),
        "round": pl.Int64(),
        "method": pl.String(),
        "batching": pl.Int64(),
        "seconds": pl.Float64(),
        "examples": pl.Int64(),
        "tokens": pl.Int64(),
        "peak": pl.Int64(),
        "above": pl.Int64(),
        "version": pl.String(),
        "torch": pl.String(),
    }
)


@dataclass
class PeersRun:
    """The measurements of all methods: ``timings`` (PEER_TIMINGS), and why methods have none.

    ``folder`` has the model as ``model``, and takes requests and results.
    """

    methods: list[PeerMethod]
    folder: Path
    threads: int
    settings: Settings
    say: Say
    absent: dict[str, str] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    _batchings: dict[tuple[str, str], int] = field(default_factory=dict)

    def measure(self, styles: dict[str, list[PeerRow]]) -> None:
        """Time all methods on each style in every round; every second round in reverse order.

        Raises DataError if a method of gradpipe fails; another's failure is listed in ``absent``.
        """
        for method in self.methods:
            if method.missing():
                self.absent[method.name] = f"not installed: {method.install}"
        for number in range(1, self.settings.rounds + 1):
            for style, rows in styles.items():
                for method in self.methods if number % 2 else reversed(self.methods):
                    if method.name not in self.absent:
                        self._measure(method, style, rows, number)

    @property
    def timings(self) -> pl.DataFrame:
        """All measurements (PEER_TIMINGS)."""
        return pl.DataFrame(self.records, schema=PEER_TIMINGS)

    def _measure(self, method: PeerMethod, style: str, rows: list[PeerRow], number: int) -> None:
        known = (method.name, style)
        request = self._request(method, rows)
        try:
            if method.tuned and known not in self._batchings:
                tuning = request | {"rows": tuning_rows(rows), "tune": True}
                self._batchings[known] = in_fresh_process(method, tuning)["batching"]
            batching = self._batchings.get(known)
            result = in_fresh_process(method, request | {"batching": batching})
        except DataError as error:
            if method.ours:
                raise
            self.absent[method.name] = f"failed: {error}"
            self.say(self.absent[method.name])
            return
        self.say(
            f"{style}, round {number}: {method.name} {result['seconds'] / len(rows):.4g} s each"
        )
        self.records.append(
            {
                "style": style,
                "round": number,
                "method": method.name,
                "batching": batching,
                "examples": len(rows),
                **result,
            }
        )

    def _request(self, method: PeerMethod, rows: list[PeerRow]) -> dict[str, Any]:
        return {
            "adapter": method.adapter,
            "options": dict(method.options),
            "checkout": method.source(),
            "package": method.package,
            "model": str(self.folder / "model"),
            "result": str(self.folder / "result.json"),
            "threads": self.threads,
            "budget": self.settings.budget,
            "rows": rows,
            "batching": None,
            "tune": False,
        }


def measure_peers(settings: Settings, say: Say) -> tuple[str, PeersRun]:
    """The name of the data, and the measurements of the methods of ``settings`` on its rows.

    The model is written to a folder that all methods load. Raises DataError and ModelError.
    """
    import torch

    methods = choose_methods(settings.methods)
    for method in methods:
        # A wrong variable is reported before anything is measured.
        method.executable()
        method.source()
    source = find_source(settings.data)
    with TemporaryDirectory() as place:
        styles = _written(Path(place), source, settings)
        run = PeersRun(methods, Path(place), torch.get_num_threads(), settings, say)
        run.measure(styles)
    return source.name, run


def _written(folder: Path, source: Source, settings: Settings) -> dict[str, list[PeerRow]]:
    """Each style's rows; writes the model to ``folder``."""
    from gradpipe.models.load import load_model
    from gradpipe.models.silence import quiet_transformers

    if not settings.styles:
        raise DataError("There is nothing to measure: name at least one style.")
    loaded = load_model(settings.model)
    styles = {
        style: peer_rows(loaded, encode_style(loaded, source, style, settings.rows))
        for style in settings.styles
    }
    with quiet_transformers():
        loaded.model.save_pretrained(folder / "model")
    loaded.tokenizer.save_pretrained(folder / "model")
    return styles


def peer_rows(loaded: LoadedModel, rows: list[TokenRow]) -> list[PeerRow]:
    """Rows as tokens and as texts, for methods that encode by themselves."""
    decode = partial(
        loaded.tokenizer.decode, skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    return [
        {
            "ids": row.ids,
            "start": row.start,
            "prompt": decode(row.ids[: row.start]),
            "response": decode(row.ids[row.start :]),
        }
        for row in rows
    ]


def tuning_rows(rows: list[PeerRow]) -> list[PeerRow]:
    """Rows around the median length, for the choice of a batching."""
    encoded = [TokenRow(row["ids"], row["start"], False) for row in rows]
    return [rows[number] for number in around_median(encoded, TUNING_TOKENS)]
