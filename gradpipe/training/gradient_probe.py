"""A callback that measures a fixed probe set under the weights of a model in training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from transformers import TrainerCallback

from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.protocol import Protocol
from gradpipe.models.source import AdapterReading
from gradpipe.standalone.full_table import full_spectra_table
from gradpipe.standalone.user_examples import Examples
from gradpipe.training.probe_passes import ProbePasses
from gradpipe.training.probe_set import (
    probe_set_of_examples,
    probe_set_of_study,
    probe_set_of_table,
    probe_study,
)
from gradpipe.training.step_numbers import (
    DEFAULT_NUMBERS,
    logged_numbers,
    require_numbers,
    require_steps,
    step_numbers,
)
from gradpipe.training.step_recorder import StepRecorder, open_recorder
from gradpipe.training.trainer_logs import calling_handler, log_numbers
from gradpipe.training.weights_hash import weights_hash
from gradpipe.training.wrapped_models import unwrapped

_log = logging.getLogger(__name__)
#: The start of the names in logs.
LOG_PREFIX = "gradpipe"


class GradientProbe(TrainerCallback):
    """Measure the gradient spectra of a fixed probe set during training.

    A callback for the Trainer of transformers and those of TRL: every ``every`` steps, the spectra
    of the same few examples are computed under the weights of that step. Chosen numbers go to the
    Trainer's logging, and with it to TensorBoard, W&B, MLflow or Trackio. The training itself
    is the same, bit for bit, as without the callback.

    Only the first process measures; under DDP the others wait in their next step. The passes run in
    the precision of the weights, outside of autocast, so a step's numbers are those of
    ``extract_spectra`` on the checkpoint saved at that step.

    Args:
        examples: The probe set, as ``extract_spectra`` takes examples. A few are enough: a step
            costs a forward and a backward pass over all of them.
        every: Steps of the optimizer between two measurements.
        study: Instead of ``examples``: the benchmarks of this study, a .yaml file or a shipped one.
        items: With ``study``: at most this many items per benchmark.
        workspace: A folder or URL to write the spectra into, for a report over steps; needs the
            extra "pipeline". Without ``study``, the workspace's own study is the probe set.
        series: With ``workspace``: the name of the run, whose steps become ``SERIES@STEP``.
        protocol: How an example becomes tokens and a loss, by default "standard"; a study has its
            own.
        numbers: What is logged, per projection: statistics, such as "nuclear_norm", averaged over
            examples and layers, or with ``_mad`` at their end the MAD of their mean curve over
            layers. The names in logs are ``gradpipe/NUMBER/PROJECTION``.
        at_start: Also measure before the first step.
        at_end: Also measure after the last step.
        tokenizer: The model's tokenizer, by default the Trainer's ``processing_class``.
        adapter: Of a model with an adapter of the peft library, measure the gradients at the
            ``merged`` weights, or at the ``factors`` that the training changes. A workspace holds
            those at the merged weights.
        columns: As in ``extract_spectra``.
        response_template: As in ``extract_spectra``.

    Raises:
        DataError: The probe set is missing, empty, or has no usable example.
        ModelError: The model is not supported, or its weights are sharded over processes (FSDP,
            ZeRO-3). Both are raised before the first step; later errors are logged as warnings, and
            the training continues.
        StudyError: A number, the study or the protocol is unknown.
        WorkspaceError: The workspace cannot be used.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> probe = gp.GradientProbe(pairs, every=100)
        >>> # trainer = SFTTrainer(model, args, train_dataset=rows, callbacks=[probe])
        >>> spectra = probe.measure(model, tokenizer, step=100)  # in your own training loop
        >>> spectra.height  # 2 examples, 3 layers, 4 projections
        24
        >>> probe.table().columns
        ['step', 'projection', 'loss', 'nuclear_norm', 'effective_rank', 'nuclear_norm_mad']
    """

    def __init__(
        self,
        examples: Examples | None = None,
        *,
        every: int = 100,
        study: str | Path | None = None,
        items: int | None = None,
        workspace: str | Path | None = None,
        series: str = "training",
        protocol: Protocol | str | None = None,
        numbers: Sequence[str] = DEFAULT_NUMBERS,
        at_start: bool = True,
        at_end: bool = True,
        tokenizer: Any = None,
        adapter: AdapterReading = "merged",
        columns: Mapping[str, str] | None = None,
        response_template: str | None = None,
    ) -> None:
        require_steps(every)
        require_numbers(numbers)
        self.every = every
        self.at_start = at_start
        self.at_end = at_end
        self._numbers = tuple(numbers)
        self._tokenizer = tokenizer
        reading = {
            "protocol": protocol,
            "columns": columns,
            "response_template": response_template,
        }
        self._adapter = adapter
        if workspace is not None and adapter != "merged":
            raise StudyError(
                "A workspace holds the gradients at the merged weights of an adapter: leave "
                "`adapter` or `workspace` out."
            )
        if examples is not None:
            places = {"study": study, "items": items, "workspace": workspace}
            _require_none("examples", places)
            probe_set = probe_set_of_examples(
                examples, protocol or "standard", columns, response_template
            )
            self._passes: ProbePasses | None = ProbePasses(probe_set, adapter=adapter)
        elif study is None and workspace is None:
            raise DataError(
                "The probe set is missing: give examples, a `study`, or a `workspace` with a study."
            )
        else:
            _require_none("a study or a workspace", reading)
            if study is None:
                _require_none("a workspace without `study`", {"items": items})
            self._passes = None
        self._study = None if study is None else probe_study(str(study), items)
        self._workspace = workspace
        self._series = series
        self._folder = ""
        self._recorder: StepRecorder | None = None
        self._spectra: dict[int, pl.DataFrame] = {}
        self._tables: dict[int, pl.DataFrame] = {}

    @property
    def spectra(self) -> pl.DataFrame:
        """The spectra of all steps: ``step``, labels of a study, and those of extract_spectra."""
        return pl.concat(list(self._spectra.values())) if self._spectra else pl.DataFrame()

    def table(self) -> pl.DataFrame:
        """One row per step and projection: the mean ``loss`` of the examples, and the numbers."""
        return pl.concat(list(self._tables.values())) if self._tables else pl.DataFrame()

    def measure(self, model: Any, tokenizer: Any = None, *, step: int) -> pl.DataFrame:
        """Measure now, as the callback does: for training loops without a Trainer.

        Args:
            model: The model in training, with or without its wrapper.
            tokenizer: Its tokenizer, unless the probe was given one.
            step: The step that the weights have reached.

        Returns:
            The step's spectra; ``spectra`` and ``table()`` have them from then on.

        Raises:
            DataError: There is no tokenizer, or no example is usable.
            ModelError: The model is not supported.
            WorkspaceError: The workspace cannot be used.
        """
        tokenizer = self._tokenizer_or(tokenizer)
        passes = self._open()
        rows = passes.rows(model, tokenizer)
        if self._recorder is not None:
            identity = weights_hash(unwrapped(model))
            self._recorder.record(step, rows, identity=identity, notes=passes.notes)
        spectra = full_spectra_table(rows)
        labels = passes.probe_set.labels.with_columns(pl.lit(step, pl.Int64).alias("step"))
        labeled = labels.join(spectra, on="example", maintain_order="left_right")
        self._spectra[step] = labeled.select("step", pl.exclude("step"))
        losses = rows.filter(pl.col("reason").is_null())["loss"]
        self._tables[step] = step_numbers(spectra, self._numbers).select(
            pl.lit(step, pl.Int64).alias("step"),
            "projection",
            pl.lit(losses.mean(), pl.Float64).alias("loss"),
            *self._numbers,
        )
        return self._spectra[step]

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Refuse what cannot be measured, and measure the weights before the first step."""
        unwrapped(given["model"])
        if not state.is_world_process_zero:
            return
        if self.at_start:
            self._take(args, state, control, **given)
        else:
            tokenizer = self._tokenizer_or(given.get("processing_class"))
            self._open().check(given["model"], tokenizer)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure at the steps that are multiples of ``every``."""
        if state.global_step % self.every == 0:
            self._take_or_warn(args, state, control, **given)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the weights after the last step.

        Before the training ends: at its end, the best checkpoint may have replaced the weights, and
        some services have closed their logs.
        """
        if self.at_end and control.should_training_stop:
            self._take_or_warn(args, state, control, **given)

    def _take_or_warn(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        try:
            self._take(args, state, control, **given)
        # A training of days must not end since a disk is full.
        except Exception:
            _log.warning("step %d could not be measured", state.global_step, exc_info=True)

    def _take(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Measure the present step and log its numbers, on the first process and only once."""
        step = state.global_step
        if not state.is_world_process_zero or step in self._tables:
            return
        self._folder = str(args.output_dir or "")
        self.measure(given["model"], given.get("processing_class"), step=step)
        numbers = logged_numbers(self._tables[step].drop("step", "loss"), LOG_PREFIX)
        loss = self._tables[step].item(0, "loss")
        if loss is not None:
            numbers[f"{LOG_PREFIX}/loss"] = loss
        log_numbers(numbers, args, state, control, calling_handler())

    def _open(self) -> ProbePasses:
        """The passes, whose probe set is read at the first use: only one process needs it."""
        if self._passes is None:
            if self._workspace is not None:
                recorder = open_recorder(self._workspace, self._study, self._series, self._folder)
                probe_set = probe_set_of_table(recorder.examples, recorder.protocol)
                self._recorder = recorder
                self._passes = ProbePasses(probe_set, recorder.model_id)
            else:
                assert self._study is not None
                probe_set = probe_set_of_study(self._study)
                self._passes = ProbePasses(probe_set, adapter=self._adapter)
        return self._passes

    def _tokenizer_or(self, given: Any) -> Any:
        """The probe's own tokenizer, or the given one; that of a processor is inside it."""
        tokenizer = self._tokenizer if self._tokenizer is not None else given
        if tokenizer is None:
            raise DataError(
                "The probe has no tokenizer: pass `tokenizer` to GradientProbe, or "
                "`processing_class` to the Trainer."
            )
        return getattr(tokenizer, "tokenizer", tokenizer)


def _require_none(given: str, others: Mapping[str, Any]) -> None:
    """Raise StudyError for any of ``others`` that was passed, since it contradicts ``given``."""
    for name, value in others.items():
        if value is not None:
            raise StudyError(f"`{name}` does not go with {given}: leave one of them out.")
