"""One process of a run on several: trains without and with callbacks, and writes what is left."""

import json
import sys
from pathlib import Path

from gradpipe.system.hashing import content_hash
from gradpipe.training.batch_spectra import BatchSpectra
from gradpipe.training.gradient_probe import GradientProbe
from tests.training.runs import PAIRS, small_trainer, traces


def main(folder: Path, out: Path) -> None:
    """Write ``out``/RANK.json: the hashed traces of both runs, and the steps measured here."""
    probe, batch = GradientProbe(PAIRS, every=4), BatchSpectra(every=4)
    left = []
    for callbacks in ([], [probe, batch]):
        trainer = small_trainer(folder, out, callbacks, max_steps=8)
        trainer.train()
        left.append({name: content_hash(repr(trace)) for name, trace in traces(trainer).items()})
    rank = trainer.args.process_index
    wrapped = type(trainer.model_wrapped).__name__
    tables = [probe.table(), batch.table()]
    steps = [[] if table.is_empty() else table["step"].unique().to_list() for table in tables]
    result = {"left": left, "steps": steps, "wrapped": wrapped, "world": trainer.args.world_size}
    (out / f"{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
