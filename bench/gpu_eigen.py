"""Section (c): the ways to compute eigenvalues, alone and beside the passes."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from bench.bare import bare_passes
from bench.gpu_models import llama_8b, random_rows, vocabulary_of
from bench.gpu_runner import GpuOptions, Record, Step
from bench.ours import batches_of, our_rows
from bench.timing import timed
from gradpipe.gradients.spectra.eigen_chooser import eigen_chooser, only_eigen_strategy, size_class
from gradpipe.gradients.spectra.eigen_strategies import CpuDevice, CudaDevice

if TYPE_CHECKING:
    from torch import Tensor

#: Matrices by their number of rows, as a batch of about 8,000 tokens has them.
MATRICES_BY_ROWS = {128: 64, 256: 32, 512: 16, 1024: 8, 2048: 4}
TINY_MATRICES_BY_ROWS = {8: 4, 40: 3}
#: Rows of a batch by their number of tokens, and the layers of the model beside whose passes the
#: eigenvalues are computed.
ROWS_BY_TOKENS = {512: 16, 1024: 8}
TINY_ROWS_BY_TOKENS = {30: 3}
LAYERS = 6
STRATEGIES = ("on_device", "on_host", "hybrid")


def eigen_steps(options: GpuOptions) -> list[Step]:
    """One step per size of the matrices, then one per length beside the passes."""
    matrices = TINY_MATRICES_BY_ROWS if options.tiny else MATRICES_BY_ROWS
    rows = TINY_ROWS_BY_TOKENS if options.tiny else ROWS_BY_TOKENS
    loaded = cache(partial(llama_8b, options, LAYERS))

    def beside(tokens: int, count: int) -> list[Record]:
        return beside_passes(loaded(), tokens, count, options.rounds)

    alone = [
        Step(f"{size} rows", partial(alone_on_matrices, options.device, size, count))
        for size, count in matrices.items()
    ]
    return alone + [
        Step(f"beside the passes of {tokens} tokens", partial(beside, tokens, count))
        for tokens, count in rows.items()
    ]


def alone_on_matrices(device: str, rows: int, count: int) -> list[Record]:
    """Seconds per matrix of each strategy, without passes beside it."""
    import torch

    matrices = gram_matrices(device, rows, count)
    with only_eigen_strategy("hybrid"), eigen_chooser(_kind(device)) as chooser:
        # Its own trials: those of the process are remembered.
        chooser.trials = {}
        values = chooser(matrices)
        trial = chooser.trials[size_class(matrices)]
        exact = torch.linalg.eigvalsh(matrices[:1].cpu())
    return [
        {
            "case": f"{rows} rows",
            "matrices": count,
            **{f"{name} ms": 1e3 * trial.seconds[name] / count for name in STRATEGIES},
            "fastest": min(trial.seconds, key=trial.seconds.__getitem__),
            "device share": trial.device_share,
            "difference": float((values[:1] - exact).abs().max() / exact.abs().max()),
        }
    ]


def beside_passes(loaded: object, tokens: int, count: int, rounds: int) -> list[Record]:
    """Seconds per example of a whole extraction with each strategy, and with the one chosen."""
    from gradpipe.models.load import LoadedModel

    assert isinstance(loaded, LoadedModel)
    rows = random_rows(tokens, count, vocabulary_of(loaded))
    budget = tokens * count
    seconds: dict[str, float] = {}
    for name in (*STRATEGIES, None):
        with only_eigen_strategy(name):
            our_rows(loaded, rows, budget)
            times = [
                timed(partial(our_rows, loaded, rows, budget), loaded.device)[0]
                for _ in range(rounds)
            ]
        seconds[name or "chosen"] = min(times) / count
    batches = batches_of(our_rows(loaded, rows, budget))
    bare = timed(partial(bare_passes, loaded.model, rows, batches), loaded.device)[0] / count
    best = min(STRATEGIES, key=seconds.__getitem__)
    return [
        {
            "case": f"passes of {tokens} tokens, {len(rows)} rows",
            "matrices": None,
            **{f"{name} ms": 1e3 * seconds[name] for name in STRATEGIES},
            "fastest": best,
            "chosen ms": 1e3 * seconds["chosen"],
            "bare ms": 1e3 * bare,
            "chosen / best": seconds["chosen"] / seconds[best],
        }
    ]


def gram_matrices(device: str, rows: int, count: int) -> Tensor:
    """Positive matrices [count, rows, rows] in float64 on the device."""
    import torch

    generator = torch.Generator(device).manual_seed(rows)
    settings = {"device": device, "dtype": torch.float64}
    x = torch.randn(count, rows, rows + 8, generator=generator, **settings)  # type: ignore[call-overload]
    product: Tensor = x @ x.mT
    return product


def _kind(device: str) -> CudaDevice | CpuDevice:
    return CudaDevice() if device.startswith("cuda") else CpuDevice()
