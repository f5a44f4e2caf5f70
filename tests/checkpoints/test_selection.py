"""One checkpoint or record per step."""

import pytest

from gradpipe.checkpoints.checkpoint import Checkpoint, StepRecord
from gradpipe.checkpoints.selection import SeriesSteps, StepRange, select_steps


def found(name: str, step: float | None, pending: str = "") -> Checkpoint:
    return Checkpoint(name=name, place=f"/runs/{name}", step=step, pending=pending)


def record(step: float, probed: bool = False) -> StepRecord:
    return StepRecord(step=step, place="/gone", fingerprint="f", probed=probed)


def places(chosen: SeriesSteps) -> dict[float | None, str]:
    return {step.step: step.place for step in chosen.steps}


def test_steps_ascend_and_a_record_stands_for_a_checkpoint_that_is_gone() -> None:
    listed = [found("c-20", 20), found("c-3", 3)]
    chosen = select_steps("sft", listed, [record(10), record(20)], StepRange())
    assert places(chosen) == {3: "/runs/c-3", 10: "/gone", 20: "/runs/c-20"}
    assert list(places(chosen)) == [3, 10, 20]
    assert chosen.notes == ()


def test_a_half_written_checkpoint_is_not_used_and_its_earlier_rows_are_kept() -> None:
    listed = [found("c-1", 1, "has no config.json"), found("c-2", 2, "has no config.json")]
    chosen = select_steps("sft", listed, [record(2)], StepRange())
    assert places(chosen) == {2: "/gone"}
    assert len(chosen.notes) == 2
    assert "c-1" in chosen.notes[0]
    assert set(chosen.pending) == {"c-1", "c-2"}


def test_two_checkpoints_of_one_step_are_one_sentence_and_the_others_go_on() -> None:
    listed = [found("a-1", 1), found("b-1", 1), found("c-2", 2)]
    chosen = select_steps("sft", listed, [], StepRange())
    assert places(chosen) == {2: "/runs/c-2"}
    [note] = chosen.notes
    assert "a-1 and b-1" in note
    assert "step 1" in note


def test_a_step_that_cannot_be_read_is_one_sentence_and_the_others_go_on() -> None:
    chosen = select_steps("sft", [found("final", None), found("c-2", 2)], [], StepRange())
    assert places(chosen) == {2: "/runs/c-2"}
    [note] = chosen.notes
    assert "final" in note
    assert "`steps`" in note


def test_a_step_measured_during_training_takes_precedence_over_its_checkpoint() -> None:
    chosen = select_steps("sft", [found("c-1", 1)], [record(1, probed=True)], StepRange())
    assert places(chosen) == {1: "/gone"}


def test_a_name_that_does_not_exist_is_not_asked_for_its_step() -> None:
    [note] = select_steps("sft", [found("gone", None, "does not exist")], [], StepRange()).notes
    assert note == "gone, a checkpoint of the series 'sft', is not used yet: it does not exist."


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [
        (StepRange(first=20), [20, 30, 40]),
        (StepRange(last=20), [10, 20]),
        (StepRange(every=20), [20, 40]),
        (StepRange(first=15, last=35, every=10), [20, 30]),
    ],
)
def test_a_range_chooses_by_step_so_that_later_checkpoints_change_nothing(
    wanted: StepRange, steps: list[float]
) -> None:
    listed = [found(f"c-{step}", step) for step in (10, 20, 30)]
    chosen = select_steps("sft", listed, [record(40)], wanted)
    assert list(places(chosen)) == steps


def test_fractions_of_epochs_are_multiples_despite_rounding() -> None:
    steps = [0.1 * n for n in range(1, 10)]
    assert [step for step in steps if step in StepRange(every=0.1)] == steps
