"""Studies that cannot be used: one sentence that names the file, the key and what is expected."""

import re
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from gradpipe.errors import StudyError
from gradpipe.studies.load import load_study, parse_study

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"


def refusal(text: str) -> str:
    """The error about a study file of this text: one sentence that names the file."""
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml", Path("/folder"))
    return sentence(str(caught.value), "my.yaml")


def names(message: str, *quoted: str) -> None:
    """Assert that an error names keys, values or files, in quotes."""
    for name in quoted:
        assert f"'{name}'" in message


def sentence(message: str, name: str) -> str:
    assert name in message
    assert "\n" not in message
    assert ": " in message, "cause, then cure"
    assert message.endswith((".", "?"))
    assert not any(
        end in message.replace("...", "")[:-1] for end in (". ", "? ", ".: ", "(None)")
    ), message
    assert len(message) < 320
    return message


@pytest.mark.parametrize(
    ("text", "key", "meant"),
    [
        (BASE + "sampel: 3", "sampel", "sample"),
        (BASE + "protocoll: paper", "protocoll", "protocol"),
        ("modles: [demo]\nbenchmarks: [mini_maths]", "modles", "models"),
        ("models: [demo]\nbenchmark: [mini_maths]", "benchmark", "benchmarks"),
        ("models: [demo]\nbenchmarks: [{name: gsm8k, sampel: 3}]", "benchmarks.0.sampel", "sample"),
        ("models: [demo]\nbenchmarks: [aqua, {nmae: gsm8k}]", "benchmarks.1.nmae", "name"),
        (
            "models: [demo]\nbenchmarks: [{name: x, source: files, columns: {instrution: q}}]",
            "benchmarks.0.columns.instrution",
            "instruction",
        ),
        ("models: [{id: demo, revison: x}]\nbenchmarks: [aqua]", "models.0.revison", "revision"),
        ("models: [demo, {ids: x}]\nbenchmarks: [aqua]", "models.1.ids", "id"),
        (
            "models: [{id: demo, layer_names: {gat: x}}]\nbenchmarks: [aqua]",
            "models.0.layer_names.gat",
            "gate",
        ),
        (
            "models: [demo]\nbenchmarks: [{name: w, source: wikipedia, wikipedia: {page: 3}}]",
            "benchmarks.0.wikipedia.page",
            "pages",
        ),
        (BASE + "generator: {temprature: 1}", "generator.temprature", "temperature"),
        (BASE + "generator: {budget: {tokenz: 1}}", "generator.budget.tokenz", "tokens"),
        (
            BASE + "generator: {price: {prompt: 1, response: 2, promt: 3}}",
            "generator.price.promt",
            "prompt",
        ),
        (BASE + "ray: {actor: 1}", "ray.actor", "actors"),
    ],
)
def test_a_misspelled_key_is_answered_with_the_nearest(text: str, key: str, meant: str) -> None:
    names(refusal(text), key, meant)


def test_a_key_like_no_other_is_answered_with_those_that_are_known() -> None:
    known = (
        "adapter, base, chat, chat_template, chat_template_kwargs, checkpoints, device_map, "
        "gradient_checkpointing, id, layer_names, max_memory, name, revision, revisions, series, "
        "step, tokenizer"
    )
    assert f"known are {known}." in refusal("models: [{id: demo, zzz: 1}]\nbenchmarks: [aqua]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + "claims: [none > detaild on effective_rank]", "did you mean 'detailed'?"),
        (BASE + "claims: [none > detailed on effectiv_rank]", "did you mean 'effective_rank'?"),
        (
            BASE + "statistics: [nuclear_norm]\nclaims: [none > detailed on effective_rank]",
            "'effective_rank'",
        ),
        (
            BASE + "claims: none > detailed on effective_rank",
            "'claims'",
        ),
        ("models: [{id: a, base: a}]\nbenchmarks: [aqua]", "'a'"),
        ("models: [x-7b, {id: b, base: x-7}]\nbenchmarks: [aqua]", "did you mean 'x-7b'?"),
    ],
)
def test_a_claim_or_a_base_that_cannot_be_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("protocol: {max_lenght: 3}", ("max_lenght", "max_length")),
        ("protocol: papr", ("papr", "paper")),
        ("protocol: {preset: papr}", ("papr", "paper")),
        ("protocol: {preset: 5}", ("5",)),
        ("protocol: {chat: maybe}", ("chat", "maybe")),
        ("protocol: {max_length: 1}", ("max_length",)),
        ("protocol: {projections: [q, x]}", ("projections.1", "x")),
        ("protocol: {projections: [q, q]}", ("projections", "q")),
        ("protocol: {layer_names: {qq: x}}", ("layer_names.qq", "q")),
        ("protocol: {layer_names: {q: 5}}", ("layer_names.q",)),
        ("styles: [none, detaled]", ("detaled", "detailed")),
        ("statistics: [nuclear]", ("nuclear", "nuclear_norm")),
        ("statistics: [nuclear_norm, nuclear_norm]", ("nuclear_norm",)),
        ("styles: [none, detailed, none]", ("none",)),
    ],
)
def test_an_unknown_word_is_answered_with_the_nearest(text: str, named: tuple[str, ...]) -> None:
    names(refusal(BASE + text), *named)


def test_a_preset_that_is_a_list_is_refused() -> None:
    assert "paper" in refusal(BASE + "protocol: {preset: [paper]}")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("device_map: autto", ("device_map", "'autto'", "'auto'")),
        ("device_map: yes", ("device_map", "True")),
        ("device_map: {model: attic}", ("device_map", "'model'", "'attic'")),
        ("max_memory: {0: 20GiB}", ("max_memory", "device_map: auto")),
        ("device_map: auto, max_memory: {0: much}", ("max_memory", "'much'")),
        ("device_map: auto, max_memory: 20GiB", ("max_memory", "'20GiB'")),
        ("device_map: auto, max_memory: {gpu: 1}", ("max_memory", "'gpu'")),
    ],
)
def test_a_layout_in_memory_that_makes_no_sense_is_refused(
    text: str, named: tuple[str, ...]
) -> None:
    message = refusal(f"models: [{{id: demo, {text}}}]\nbenchmarks: [aqua]")
    for word in named:
        assert word in message


@pytest.mark.parametrize(
    ("benchmark", "named"),
    [
        ("gsm8", ("gsm8", "gsm8k")),
        ("{name: gsm8}", ("gsm8", "gsm8k")),
        ("{name: gsm8k, styles: [detaled]}", ("detaled", "detailed")),
        ("{name: gsm8k, styles: [none, none]}", ("none",)),
    ],
)
def test_an_unknown_benchmark_is_answered_with_the_nearest(
    benchmark: str, named: tuple[str, ...]
) -> None:
    names(refusal(f"models: [demo]\nbenchmarks: [{benchmark}]"), *named)


@pytest.mark.parametrize(
    ("text", "key", "shown"),
    [
        (BASE + "sample: 0", "sample", "0"),
        (BASE + "sample: many", "sample", "'many'"),
        (BASE + "seed: -1", "seed", "-1"),
        (BASE + "seed: 1.5", "seed", "1.5"),
        (BASE + "styles: none", "styles", "'none'"),
        (BASE + "statistics: []", "statistics", "[]"),
        (BASE + "statistics: [5]", "statistics.0", "5"),
        (BASE + "protocol: 5", "protocol", "5"),
        (BASE + "protocol:", "protocol", "None"),
        (BASE + "engine: dask", "engine", "'dask'"),
        (BASE + "ray: here", "ray", "'here'"),
        (BASE + "ray: {actors: 0}", "ray.actors", "0"),
        (BASE + "ray: {cpus: 0}", "ray.cpus", "0"),
        (BASE + "ray: {gpus: -1}", "ray.gpus", "-1"),
        (BASE + "ray: {address: 5}", "ray.address", "5"),
        (BASE + "generator: llm", "generator.kind", ""),
        (
            BASE + "generator: {kind: openai, model: m, price: {prompt: -1, response: 2}}",
            "generator.price.prompt",
            "",
        ),
        (BASE + "name: 2024-01-01", "name", ""),
        (BASE + "name: " + "x" * 200, "name", ""),
        (BASE + "5: x", "5", "5"),
        (BASE + "ray: {cpus: 2000000}", "ray.cpus", ""),
        (BASE + "ray: {gpus: inf}", "ray.gpus", "'inf'"),
        (BASE + "ray: {resources: {a: 'nan'}}", "ray.resources.a", ""),
        (BASE + "unusable_limit: 'nan'", "unusable_limit", ""),
        ("models: demo\nbenchmarks: [aqua]", "models", "'demo'"),
        ("models:\nbenchmarks: [aqua]", "models", "None"),
        ("models: [5]\nbenchmarks: [aqua]", "models.0", "5"),
        ("models: [null]\nbenchmarks: [aqua]", "models.0", "None"),
        ("models: [[a]]\nbenchmarks: [aqua]", "models.0", "['a']"),
        ("models: [{id: 5}]\nbenchmarks: [aqua]", "models.0.id", "5"),
        ("models: ['']\nbenchmarks: [aqua]", "models.0.id", "''"),
        ("models: [demo]\nbenchmarks: aqua", "benchmarks", "'aqua'"),
        ("models: [demo]\nbenchmarks: []", "benchmarks", "[]"),
        ("models: [demo]\nbenchmarks: [5]", "benchmarks.0", "5"),
        ("models: [demo]\nbenchmarks: [{name: 5}]", "benchmarks.0.name", "5"),
        (
            "models: [demo]\nbenchmarks: [{name: [a], source: hub, path: a/b}]",
            "benchmarks.0.name",
            "['a']",
        ),
        ("models: [demo]\nbenchmarks: [{name: a, source: mni}]", "benchmarks.0.source", "'mni'"),
        (
            "models: [demo]\nbenchmarks: [{name: a, source: files, columns: q}]",
            "benchmarks.0.columns",
            "'q'",
        ),
        (BASE + "relevances: [corect]", "relevances.0", "'corect'"),
        (BASE + "sampling: last", "sampling", "'last'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown_with_its_key(text: str, key: str, shown: str) -> None:
    message = refusal(text)
    names(message, key)
    assert shown in message


def test_a_long_key_is_cut() -> None:
    assert "xxx..." in refusal(BASE + "x" * 500 + ": 1")


def test_an_address_for_programs_outside_of_the_cluster_is_refused() -> None:
    names(refusal(BASE + 'ray: {address: "ray://head:10001"}'), "ray://head:10001")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("benchmarks: [mini_maths]", "models"),
        ("models: [demo]", "benchmarks"),
        ("models: [{}]\nbenchmarks: [aqua]", "models.0.id"),
        ("models: [demo]\nbenchmarks: [{source: files}]", "benchmarks.0.name"),
    ],
)
def test_a_missing_key_is_named(text: str, named: str) -> None:
    names(refusal(text), named)


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("models: [demo, demo]\nbenchmarks: [aqua]", "demo", "models"),
        ("models: [demo]\nbenchmarks: [aqua, aqua, gsm8k]", "aqua", "benchmarks"),
        ("models: [long, {id: b, name: long}]\nbenchmarks: [aqua]", "long", "models"),
    ],
)
def test_two_entries_of_one_name_are_refused(text: str, name: str, kind: str) -> None:
    message = refusal(text)
    assert name in message
    assert kind in message
    assert "`name`" in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "styles: [none", 3),
        (BASE + "  sample: y: z", 3),
        (BASE + "\tsample: 3", 3),
        (BASE + "---\nname: second", 3),
        (BASE + "? [a]\n: b", 3),
        ("models: 'demo", 1),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    message = refusal(text)
    assert "valid YAML" in message
    assert f"line {line} " in message


@pytest.mark.parametrize(
    "text",
    [
        BASE + "name: \x00",
        BASE + "seed: 2024-13-45",
        BASE + "seed: 0b_",
    ],
)
def test_yaml_that_breaks_its_reader_is_refused(text: str) -> None:
    assert "valid YAML (" in refusal(text)


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system [exit]", "!!python/name:os.system", "!!python/tuple [a]"],
)
def test_yaml_that_asks_for_python_objects_is_refused(tag: str) -> None:
    message = refusal(f"{BASE}name: {tag}")
    assert "at line 3" in message
    assert "could not determine a constructor" in message


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "- demo", "demo", "5", "null"])
def test_a_file_that_is_not_a_mapping_is_refused(text: str) -> None:
    message = refusal(text)
    assert "mapping" in message
    assert "`models:`" in message


@pytest.mark.parametrize(
    "text",
    [
        'models: [demo]\nbenchmarks: [{name: a, source: files, path: "a\\0b"}]',
        "models: [demo]\nbenchmarks: [{name: a, source: files, path: ~no-such-user-here/a}]",
        "models: [~no-such-user-here/model]\nbenchmarks: [aqua]",
    ],
)
def test_an_invalid_path_is_shown(text: str) -> None:
    assert re.search(r"'(a.+b|~no-such-user-here/\w+)' is not a valid path", refusal(text))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(StudyError) as caught:
        load_study("nowhere/my.yaml")
    message = sentence(str(caught.value), "nowhere/my.yaml")
    assert "No such file or directory" in message


def test_a_file_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff")
    (tmp_path / "folder.yaml").mkdir()
    for name, reason in (("image", "not UTF-8 text"), ("folder", "Is a directory")):
        with pytest.raises(StudyError) as caught:
            load_study(str(tmp_path / f"{name}.yaml"))
        assert reason in sentence(str(caught.value), f"{name}.yaml")


@pytest.mark.parametrize("study", ["~no-such-user-here", "x" * 300])
def test_what_cannot_be_a_path_is_not_a_study(study: str) -> None:
    with pytest.raises(StudyError, match=study[:17]):
        load_study(study)


def test_a_study_that_does_not_ship_is_answered_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"'dmeo'.*'demo'"):
        load_study("dmeo")
    with pytest.raises(
        StudyError, match=r"'mine'.* demo, demo_generated, paper, quality, thinking\."
    ):
        load_study("mine")


def test_a_mistake_in_a_file_is_reported_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models: [demo]\nbenchmarks: [mini_maths]\nsampel: 3\n")
    with pytest.raises(StudyError) as caught:
        load_study(str(tmp_path / "mine.yaml"))
    names(sentence(str(caught.value), str(tmp_path / "mine.yaml")), "sampel", "sample")


def test_the_sentences_about_mistakes(snapshot: SnapshotAssertion) -> None:
    """Those that gradpipe writes; others are pydantic's or PyYAML's."""
    texts = [
        BASE + "sampel: 3",
        BASE + "zzzzzz: 3",
        "models: [demo]",
        BASE + "ray: here",
        BASE + "sample: yes",
        BASE + "unusable_limit: yes",
        BASE + "styles: [none, none]",
        BASE + "styles: [detaled]",
        BASE + "name: $(echo sk-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH)",
        "models: [a, a]\nbenchmarks: [aqua]",
        f"models: [{'x' * 201}]\nbenchmarks: [aqua]",
        "models: [A, a]\nbenchmarks: [aqua]",
        "models: [{id: a, base: a}]\nbenchmarks: [aqua]",
        "models: [~no-such-user-here/model]\nbenchmarks: [aqua]",
        "- demo",
    ]
    assert [refusal(text) for text in texts] == snapshot


@pytest.mark.parametrize("more", ["", ", config: main", ", revision: main"])
def test_another_data_set_of_a_built_in_name_needs_its_own(more: str, tmp_path: Path) -> None:
    entry = f"{{name: gsm8k, source: hub, path: myorg/gsm8k{more}}}"
    text = f"models: [demo]\nbenchmarks: [{entry}]\n"
    said = refusal(text)
    names(said, "gsm8k")
    assert "no folder myorg/gsm8k" in said
    assert "such as myorg-gsm8k" in said
    (tmp_path / "myorg" / "gsm8k").mkdir(parents=True)
    if not more:
        study = parse_study(text, "my.yaml", tmp_path)
        assert study.benchmarks[0].path == str(tmp_path / "myorg" / "gsm8k")
