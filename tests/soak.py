"""Minutes of kills, additions, damage and reruns on one workspace: `python -m tests.soak`.

Beside it is a twin, a workspace of the same study that nothing ever happens to. After each rerun
both hold the same tables, row for row. One line an action; at the end the counts as JSON.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import polars as pl

from gradpipe.errors import DamagedError
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.load import study_yaml
from gradpipe.studies.study import Study
from tests.conftest import save_small_model
from tests.faults.runs import Ended, Run
from tests.faults.tables import (
    Tables,
    assert_nothing_twice,
    assert_same,
    raw_keys,
    tables_of,
    workspace_at,
)

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
#: A study stays small enough for a rerun of seconds: beyond this it begins with new ones.
MOST_ITEMS, MOST_MODELS = 12, 3
#: Float32 on a model of thirty layers, in batches of other rows.
ROUNDING = 2e-3
#: How often damage may come to light one file after the other before a rerun is called a failure.
PASSES = 6


class Soak:
    """A workspace that things happen to, its twin, and what happened so far."""

    def __init__(self, folder: Path, model: str, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.workspace, self.twin = folder / "workspace", folder / "twin"
        self.models = [{"id": model, "name": "first"}]
        self.statistics = ["nuclear_norm", "effective_rank"]
        self.items: list[dict[str, str]] = []
        self._next_item = self._next_model = 1
        self.longest = 20.0
        self._damaged = False
        self._started = time.monotonic()
        self.add_items(3)

    def say(self, action: str, detail: str) -> None:
        """One line, and one more of its kind."""
        self.counts[action] += 1
        seconds = time.monotonic() - self._started
        print(f"{seconds:7.1f} s  {action:<10} {detail}", flush=True)

    @property
    def study(self) -> Path:
        """The study's file, as it stands now."""
        mine = {
            "name": "mine",
            "source": "files",
            "path": str(self.folder / "mine.jsonl"),
            "family": "math",
        }
        settings: dict[str, Any] = {
            "name": "soak",
            "models": self.models,
            "benchmarks": [{"name": "mini_obscure", "sample": 2}, mine],
            "sampling": "first",
            "protocol": "standard",
            "statistics": self.statistics,
        }
        file = self.folder / "study.yaml"
        file.write_text(study_yaml(Study.model_validate(settings)), "utf-8")
        return file

    def begin(self, workspace: Path) -> Run:
        """A run on one of the two workspaces."""
        return Run(workspace, self.folder / f"notes of {workspace.name}", self.study)

    def finish(self, workspace: Path) -> Ended:
        """A run to its good end."""
        ended = self.begin(workspace).end(within=1200)
        assert ended.code == 0, f"exit code {ended.code}: {ended.errors}"
        return ended

    def add_items(self, count: int | None = None) -> None:
        """New questions behind those that are there."""
        count = self.chance.randint(1, 2) if count is None else count
        if len(self.items) + count > MOST_ITEMS:
            self.items = self.items[-2:]
        first = self._next_item
        self._next_item += count
        self.items += [question(number) for number in range(first, first + count)]
        lines = "".join(json.dumps(item) + "\n" for item in self.items)
        (self.folder / "mine.jsonl").write_text(lines, "utf-8")
        self.say("items", f"{count} more, {len(self.items)} in all")

    def add_model(self) -> None:
        """One more model, a small one with weights of its own; in the place of an older one."""
        if len(self.models) >= MOST_MODELS:
            del self.models[1]
        name = f"small {self._next_model}"
        save_small_model(self.folder / name, seed=self._next_model)
        self._next_model += 1
        self.models.append({"id": str(self.folder / name), "name": name})
        self.say("model", name)

    def change_statistics(self) -> None:
        """Another list of statistics, which needs no model."""
        count = self.chance.randint(1, 4)
        self.statistics = self.chance.sample(sorted(REDUCTIONS), count)
        self.say("statistics", ", ".join(self.statistics))

    def damage(self) -> None:
        """Cut a file short, flip one of its bits, or empty it."""
        files = sorted(path for path in self.workspace.rglob("*.parquet") if path.is_file())
        if not files:
            return
        file = self.chance.choice(files)
        content, kind = bytearray(file.read_bytes()), self.chance.choice(("cut", "bit", "emptied"))
        if not content:
            return
        place = self.chance.randrange(len(content))
        if kind == "bit":
            content[place] ^= 1 << self.chance.randrange(8)
        else:
            del content[0 if kind == "emptied" else place :]
        file.write_bytes(bytes(content))
        self._damaged = True
        self.say("damage", f"{kind} {file.relative_to(self.workspace)}")

    def kill(self) -> None:
        """A run that a signal meets at any moment."""
        number = self.chance.choice(SIGNALS)
        run = self.begin(self.workspace)
        run.process.join(self.chance.uniform(0, self.longest))
        where = (run.marks() or [(0.0, "its start")])[-1][1].strip()
        if run.process.is_alive():
            run.send(number)
            ended = run.end(within=120)
            # Before its first word the command is not yet there to see to signals.
            assert not run.marks() or ended.code in (0, 130, -number), ended.errors
            self.say(number.name, f"at {where}: exit code {ended.code}")
        else:
            self.say("in time", f"the run was through: exit code {run.end().code}")

    def rerun(self) -> None:
        """A run to the end, after which everything is as in the twin."""
        self.finish(self.twin)
        expected = in_use(tables_of(workspace_at(self.twin)))
        started, kept = time.monotonic(), self._kept(expected)
        ended = self.finish(self.workspace)
        self.longest = max(5.0, 0.5 * self.longest, time.monotonic() - started)
        computed = ended.counts["gradient_spectra"]["computed"]
        found = self._tables()
        assert_same(found, expected, ROUNDING)
        assert_nothing_twice(workspace_at(self.workspace))
        rows = sum(len(frame) for name, frame in expected.items() if name.startswith("spectra "))
        if not self._damaged:
            assert computed == rows - kept, f"{computed} computed, {rows - kept} were missing"
        self._damaged = False
        self.counts["rows computed"] += computed
        self.say("rerun", f"{computed} rows computed, {rows - computed} reused, tables equal")

    def _kept(self, expected: Tables) -> int:
        """The rows of the twin that the workspace has before a rerun; damage is looked at later."""
        if self._damaged:
            return 0
        wanted = {name: set(frame["key"]) for name, frame in expected.items() if "spectra " in name}
        there = raw_keys(workspace_at(self.workspace)) if self.workspace.exists() else {}
        return sum(len(keys & set(there.get(name, ()))) for name, keys in wanted.items())

    def _tables(self) -> Tables:
        """The workspace's tables; what turns out to be damaged is set aside and made again."""
        for _ in range(PASSES):
            workspace = workspace_at(self.workspace)
            try:
                return in_use(tables_of(workspace))
            except DamagedError as error:
                workspace.quarantine(error.damage)
                self.say("found", str(error).partition(": run")[0])
                self.finish(self.workspace)
        raise AssertionError(f"after {PASSES} passes there still is damage")


def in_use(tables: Tables) -> Tables:
    """The tables without the rows of earlier items, which nobody misses where they are damaged."""
    kept = {
        name: frame.filter(
            pl.col("key").is_in(tables[name.replace("spectra ", "index ")]["key"].implode())
        )
        for name, frame in tables.items()
        if name.startswith("spectra ")
    }
    return tables | kept


def question(number: int) -> dict[str, str]:
    """An item with two styles of responses."""
    return {
        "instruction": f"What is {number} + {number}?",
        "answer": str(2 * number),
        "none": str(2 * number),
        "detailed": f"We add {number} and {number}. That makes {2 * number}.",
    }


def soak(folder: Path, minutes: float, seed: int, model: str, damages: bool) -> dict[str, Any]:
    """Actions by chance until the time is over, the last of them a rerun; the counts."""
    soaked = Soak(folder, model, seed)
    ends = time.monotonic() + 60 * minutes
    soaked.rerun()
    changes: list[Callable[[], None]] = [
        soaked.add_items,
        soaked.add_items,
        soaked.change_statistics,
        soaked.add_model,
    ]
    while time.monotonic() < ends:
        damage = damages and soaked.chance.random() < 0.6
        for change in soaked.chance.sample(changes, soaked.chance.randint(0 if damage else 1, 2)):
            change()
        if damage:
            soaked.damage()
        for _ in range(soaked.chance.randint(1, 3)):
            soaked.kill()
        soaked.rerun()
    return dict(sorted(soaked.counts.items()))


@click.command()
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--model", default="demo", show_default=True)
@click.option("--damage/--no-damage", default=True, show_default=True)
def main(minutes: float, seed: int, model: str, damage: bool) -> None:
    """Exit code 1, and the workspace left where it is, when a promise is broken."""
    folder = Path(tempfile.mkdtemp(prefix="gradpipe-soak-"))
    click.echo(f"seed {seed}, in {folder}")
    counts = soak(folder, minutes, seed, model, damage)
    shutil.rmtree(folder)
    click.echo(json.dumps({"minutes": minutes, "seed": seed, **counts}))


if __name__ == "__main__":
    main()
