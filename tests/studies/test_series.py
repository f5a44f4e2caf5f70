"""Series in a study file: what is accepted, named and refused."""

from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.load import parse_study, study_yaml
from gradpipe.studies.series import models_named, series_of
from gradpipe.studies.series_config import SeriesConfig
from gradpipe.studies.study import Study


def study(models: str, folder: Path | None = None) -> Study:
    return parse_study(f"models: [{models}]\nbenchmarks: [mini_maths]", "my.yaml", folder)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ('{id: ./runs/sft, checkpoints: "checkpoint-*"}', "sft"),
        ('{id: runs/sft/, checkpoints: ["a", "b"]}', "sft"),
        ('{id: s3://bucket/runs/sft, checkpoints: "*"}', "sft"),
        ('{id: org/pythia-70m, revisions: "step*"}', "pythia-70m"),
        ('{id: org/pythia-70m, revisions: "step*", name: mine}', "mine"),
        ("{id: ./a, series: sft, step: 100}", "sft@100"),
        ("{id: ./a, series: sft, step: 0.5}", "sft@0.5"),
        ("{id: ./a, series: sft, step: 0.5, name: half}", "half"),
    ],
)
def test_a_series_and_its_steps_have_short_names(entry: str, name: str, tmp_path: Path) -> None:
    assert [model.name for model in study(entry, tmp_path).models] == [name]


def test_paths_of_a_series_start_at_the_files_folder(tmp_path: Path) -> None:
    [entry] = study('{id: runs/sft, checkpoints: "*", base: ./base}', tmp_path).models
    assert entry.id == str(tmp_path / "runs" / "sft")
    assert entry.base == str(tmp_path / "base")
    entries = "./base, {id: runs/sft, checkpoints: '*', base: ./base}"
    assert study(entries, tmp_path).models[1].base == "./base"
    [remote] = study('{id: s3://bucket/runs, checkpoints: "*"}', tmp_path).models
    assert remote.id == "s3://bucket/runs"


def test_a_study_with_series_survives_being_written_and_read() -> None:
    text = """{id: /runs/sft, checkpoints: "c-*", first: 1, last: 9, every: 0.5, steps: {a: 3},
    chat: false}, demo"""
    written = study(text)
    again = parse_study(study_yaml(written), "again.yaml")
    assert again == written
    [entry] = series_of(again)
    assert isinstance(entry, SeriesConfig)
    assert (entry.first, entry.last, entry.every, entry.steps) == (1, 9, 0.5, {"a": 3})
    assert entry.chat is False


def test_a_base_may_be_a_step_that_is_not_known_yet() -> None:
    entries = '{id: /runs/sft, checkpoints: "*"}, {id: demo, base: sft@100}'
    assert study(entries).models[1].base == "sft@100"
    with pytest.raises(StudyError, match="has no model 'stf@100'"):
        study(entries.replace("sft@100", "stf@100"))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ('{id: a/b, checkpoints: "*", revisions: "*"}', "either `checkpoints` or `revisions`"),
        ('{id: a/b, revisions: "*", revision: main}', "settings of single models"),
        ('{id: a/b, revisions: "*", first: 9, last: 1}', "exchange `first` and `last`"),
        ('{id: a/b, revisions: "*", every: 0}', "models.0.every"),
        (f'{{id: a/b, revisions: "*", name: {"n" * 101}}}', "too long for its steps"),
        ('{id: a/b, revisions: "*", first: yes}', "models.0.first"),
        ('{id: a/b, revisions: "*", steps: {a: -1}}', "models.0.steps"),
        ('{id: a/b, revisions: "*", evry: 2}', "did you mean 'every'"),
        ('{id: a/b, revision: "*", checkpoint: "*"}', "did you mean 'checkpoints'"),
        ("{id: a/b, series: sft}", "give its `step` too"),
        ("{id: a/b, step: 1}", "give its `series` too"),
        ("{id: a/b, series: sft, step: -1}", "models.0.step"),
        (
            "{id: a/b, series: sft, step: yes}",
            "at line 1: input should be a number",
        ),
        (
            "{id: a/b, series: sft, step: ten}",
            "at line 1: input should be a number",
        ),
    ],
)
def test_a_mistake_in_a_series_is_one_sentence(entry: str, reason: str) -> None:
    with pytest.raises(StudyError) as caught:
        study(entry)
    assert reason in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_name_stands_for_a_model_or_for_all_steps_of_a_series() -> None:
    steps = "{id: a/b, series: sft, step: 1}, {id: a/c, series: sft, step: 2}, demo"
    assert models_named(study(steps), "sft") == ["sft@1", "sft@2"]
    assert models_named(study(steps), "sft@2") == ["sft@2"]
    with pytest.raises(StudyError, match="did you mean 'demo'"):
        models_named(study(steps), "dmo")
    with pytest.raises(StudyError, match="has no step yet"):
        models_named(study('{id: /runs/sft, checkpoints: "*"}'), "sft")
