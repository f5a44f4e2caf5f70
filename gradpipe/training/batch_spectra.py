"""A callback that measures the gradients which a training itself computed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import polars as pl
from transformers import TrainerCallback

from gradpipe.errors import ModelError
from gradpipe.gradients.spectra.dense import dense_singular_values
from gradpipe.gradients.spectra.workers import spectra_pool
from gradpipe.models.adapters.factors import adapter_factors
from gradpipe.models.adapters.wrappers import factors_of, without_shell
from gradpipe.models.devices import input_device
from gradpipe.models.projections import Projection, find_projections
from gradpipe.models.roles import ATTENTION
from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS
from gradpipe.statistics.reductions import computable_statistics, reduce_spectra
from gradpipe.training.step_numbers import (
    DEFAULT_NUMBERS,
    logged_numbers,
    require_numbers,
    require_steps,
    step_numbers,
)
from gradpipe.training.trainer_logs import calling_handler, log_numbers
from gradpipe.training.undisturbed import undisturbed
from gradpipe.training.weight_gradients import WeightGradient, weight_gradients
from gradpipe.training.wrapped_models import unwrapped

_log = logging.getLogger(__name__)
#: The start of the names in logs.
BATCH_PREFIX = "gradpipe/batch"
#: One row per step, layer and projection; statistics follow.
BATCH_SCHEMA = pl.Schema(
    {
        "step": pl.Int64(),
        "layer": pl.Int64(),
        "projection": pl.String(),
        "layer_type": pl.String(),
        "frobenius_norm": pl.Float64(),
        "singular_values": pl.List(pl.Float32),
    }
)


class BatchSpectra(TrainerCallback):
    """Measure the spectra of the batch gradient that training computed, without any extra pass.

    A callback for the Trainer of transformers and those of TRL: every ``every`` steps, the singular
    values of the gradient of each projection's weight, just before the optimizer uses it. That
    gradient is the sum over the micro-batches of an accumulation, averaged over the processes of
    DDP, unscaled from mixed precision, and clipped: with ``max_grad_norm``, its size is at most
    that. Ratios such as the effective rank do not depend on clipping. Nothing is written to the
    gradients, and the training is the same, bit for bit, as without the callback.

    Of a LoRA, these are the gradients of its factors A and B, as projections ``q_lora_a``,
    ``q_lora_b`` and so on; weights without a gradient have no rows.

    Unlike the gradient of one example, that of a batch may have full rank: its spectrum takes an
    eigenvalue problem per matrix, of the smaller side of the weight, in float64.

    Args:
        every: Steps of the optimizer between two measurements.
        projections: Roles of the projections: "q", "k", "v", "o", "gate", "up", "down".
        numbers: What is logged, per projection: statistics averaged over layers, or with ``_mad``
            at their end the MAD over layers. The names in logs are
            ``gradpipe/batch/NUMBER/PROJECTION``.

    Raises:
        ModelError: The model has no attention projections that gradpipe can find, its weights are
            sharded over processes (FSDP, ZeRO-3), or no projection has a gradient. It is raised at
            the first step at the latest; later errors are logged as warnings.
        StudyError: A number is unknown, or does not follow from a spectrum.

    Examples:
        >>> import copy, torch
        >>> batch = gp.BatchSpectra(every=10)
        >>> # trainer = SFTTrainer(model, args, train_dataset=rows, callbacks=[batch])
        >>> twin = copy.deepcopy(model).requires_grad_(True)
        >>> ids = torch.tensor([[5, 6, 7, 8]])
        >>> twin(ids, labels=ids).loss.backward()
        >>> spectra = batch.measure(twin, step=1)  # in a training loop of your own
        >>> spectra.height  # 3 layers, 4 projections
        12
        >>> q = twin.model.layers[2].self_attn.q_proj.weight.grad
        >>> sigma = spectra.filter(layer=2, projection="q")["spectral_norm"].item()
        >>> abs(sigma / torch.linalg.matrix_norm(q, 2).item() - 1) < 1e-5
        True
    """

    def __init__(
        self,
        *,
        every: int = 100,
        projections: Sequence[str] = ATTENTION,
        numbers: Sequence[str] = DEFAULT_NUMBERS,
    ) -> None:
        require_steps(every)
        require_numbers(numbers, computable_statistics(["singular_values", "frobenius_norm"]))
        self.every = every
        self._roles = tuple(projections)
        self._numbers = tuple(numbers)
        self._checked = False
        self._found: tuple[Any, list[Projection]] | None = None
        self._spectra: dict[int, pl.DataFrame] = {}
        self._tables: dict[int, pl.DataFrame] = {}

    @property
    def spectra(self) -> pl.DataFrame:
        """The spectra of all measured steps: one row per step, layer and projection."""
        return pl.concat(list(self._spectra.values())) if self._spectra else pl.DataFrame()

    def table(self) -> pl.DataFrame:
        """One row per step and projection, with the numbers."""
        return pl.concat(list(self._tables.values())) if self._tables else pl.DataFrame()

    def measure(self, model: Any, *, step: int) -> pl.DataFrame:
        """Measure the gradients that the weights hold now: for training loops without a Trainer.

        Args:
            model: The model in training, with or without its wrapper.
            step: The step that the optimizer is about to complete, from 1.

        Returns:
            The step's spectra: ``step``, ``layer``, ``projection``, ``layer_type``, the statistics
            and ``singular_values``.

        Raises:
            ModelError: No projection has a gradient.
        """
        inner = unwrapped(model)
        gradients = self._gradients(inner)
        records = _records(gradients, str(input_device(inner)), step)
        frame = pl.DataFrame(records, schema=BATCH_SCHEMA, orient="row")
        spectra = reduce_spectra(frame.lazy(), EXTRACT_STATISTICS).collect()
        self._spectra[step] = spectra.select(
            "step", "layer", "projection", "layer_type", *EXTRACT_STATISTICS, "singular_values"
        )
        # A batch is one example of unknown loss and length.
        nulls = {name: pl.lit(None, pl.Float64) for name in ("loss", "tokens", "response_tokens")}
        one = spectra.with_columns(example=pl.lit(0, pl.Int64), **nulls)
        numbers = step_numbers(one, self._numbers)
        self._tables[step] = numbers.select(pl.lit(step, pl.Int64).alias("step"), pl.all())
        return self._spectra[step]

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Refuse a model whose gradients cannot be measured, before the first step."""
        inner = unwrapped(given["model"])
        if state.is_world_process_zero:
            self._projections(inner)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the gradients that the optimizer is about to use."""
        step = state.global_step + 1
        if not state.is_world_process_zero:
            return
        if not self._checked:
            self._gradients(unwrapped(given["model"]))
            self._checked = True
        if step % self.every:
            return
        try:
            self.measure(given["model"], step=step)
        # A training of days must not end since a gradient cannot be measured.
        except Exception:
            _log.warning("the gradient of step %d could not be measured", step, exc_info=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Log the numbers of a step that was measured."""
        measured = self._tables.get(state.global_step)
        if measured is not None and state.is_world_process_zero:
            numbers = logged_numbers(measured.drop("step"), BATCH_PREFIX)
            log_numbers(numbers, args, state, control, calling_handler())

    def _gradients(self, model: Any) -> list[WeightGradient]:
        """The gradients that the projections hold now; raises ModelError without any."""
        gradients = list(weight_gradients(self._projections(model)))
        if not gradients:
            raise ModelError(
                "No projection has a gradient when the optimizer steps: its weights are frozen, or "
                "the gradients are elsewhere (DeepSpeed, or an optimizer that is fused into the "
                "backward pass), so leave BatchSpectra out."
            )
        return gradients

    def _projections(self, model: Any) -> list[Projection]:
        """The projections of the model; a fused layer is divided by passes, once."""
        if self._found is None or self._found[0] is not model:
            with undisturbed(model):
                found = find_projections(without_shell(model), self._roles)
            # Of a layer with an adapter, only the factors may train.
            wrapped = any(factors_of(one.path, one.module) for one in found)
            factors = adapter_factors("", found) if wrapped else []
            self._found = model, [*found, *factors]
        return self._found[1]


def _records(gradients: Sequence[WeightGradient], device: str, step: int) -> list[tuple[Any, ...]]:
    """One row of BATCH_SCHEMA per gradient; several are computed at once, one per core."""
    with spectra_pool(device) as pool:
        jobs = [
            pool.submit(partial(dense_singular_values, one.matrix), one.matrix) for one in gradients
        ]
        spectra = [job.result() for job in jobs]
    return [
        (
            step,
            one.projection.layer,
            one.projection.name,
            one.projection.layer_type,
            float(values.square().sum().sqrt()),
            values.float().numpy(),
        )
        for one, values in zip(gradients, spectra, strict=True)
    ]
