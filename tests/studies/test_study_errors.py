"""Studies that cannot be used: one sentence, with the file, the cause and the cure."""

from pathlib import Path

import pytest

from gradpipe.errors import StudyError
from gradpipe.studies.load import load_study, parse_study

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"


def refusal(text: str) -> str:
    """What is said of a study file of this text; one sentence that names the file."""
    with pytest.raises(StudyError) as caught:
        parse_study(text, "my.yaml", Path("/folder"))
    return sentence(str(caught.value), "my.yaml")


def sentence(message: str, name: str) -> str:
    assert name in message
    assert "\n" not in message
    assert ": " in message, "cause, then cure"
    assert message.endswith((".", "?"))
    assert not any(
        end in message.replace("...", "")[:-1] for end in (". ", "? ", ".: ", "(None)")
    ), message
    assert len(message) < 300
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
def test_a_misspelt_key_is_answered_with_the_nearest(text: str, key: str, meant: str) -> None:
    assert refusal(text) == f"The study my.yaml has an unknown key '{key}': did you mean '{meant}'?"


def test_a_key_like_no_other_is_answered_with_those_that_are_known() -> None:
    known = "base, chat, device_map, gradient_checkpointing, id, layer_names, max_memory, name"
    assert f"known are {known}, revision." in refusal(
        "models: [{id: demo, zzz: 1}]\nbenchmarks: [aqua]"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + "claims: [none > detaild on effective_rank]", "did you mean 'detailed'?"),
        (BASE + "claims: [none > detailed on effectiv_rank]", "did you mean 'effective_rank'?"),
        (
            BASE + "statistics: [nuclear_norm]\nclaims: [none > detailed on effective_rank]",
            "has 'effective_rank' where a statistic should stand",
        ),
        (
            BASE + "claims: none > detailed on effective_rank",
            "as 'claims': input should be a valid",
        ),
        ("models: [{id: a, base: a}]\nbenchmarks: [aqua]", "'a' cannot be its own base"),
        ("models: [x-7b, {id: b, base: x-7}]\nbenchmarks: [aqua]", "did you mean 'x-7b'?"),
    ],
)
def test_a_claim_or_a_base_that_cannot_be_is_refused(text: str, expected: str) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("protocol: {max_lenght: 3}", "has no setting 'max_lenght': did you mean 'max_length'?"),
        ("protocol: papr", "no protocol 'papr': did you mean 'paper'?"),
        ("protocol: {preset: papr}", "no protocol 'papr': did you mean 'paper'?"),
        ("protocol: {preset: 5}", "no protocol '5': known are paper, standard."),
        ("protocol: {preset: [paper]}", """no protocol "['paper']": did you mean 'paper'?"""),
        ("protocol: {chat: maybe}", "setting 'chat' cannot be 'maybe'"),
        ("protocol: {max_length: 1}", "setting 'max_length' cannot be 1"),
        ("protocol: {projections: [q, x]}", "setting 'projections.1' cannot be 'x'"),
        ("protocol: {projections: [q, q]}", "'projections' cannot be ['q', 'q']: each projection"),
        ("protocol: {layer_names: {qq: x}}", "has no setting 'layer_names.qq': did you mean 'q'?"),
        ("protocol: {layer_names: {q: 5}}", "setting 'layer_names.q' cannot be 5"),
        ("styles: [none, detaled]", "no style 'detaled': did you mean 'detailed'?"),
        ("statistics: [nuclear]", "no statistic 'nuclear': did you mean 'nuclear_norm'?"),
        (
            "statistics: [nuclear_norm, nuclear_norm]",
            "'nuclear_norm' is named twice: name it once.",
        ),
        ("styles: [none, detailed, none]", "'none' is named twice: name it once."),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_the_nearest(said: str, expected: str) -> None:
    message = refusal(BASE + said)
    assert message.startswith("In the study my.yaml: ")
    assert expected in message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("device_map: autto", "no device_map 'autto' (one device, such as cuda:1, would do too)"),
        ("device_map: yes", "device_map cannot be True: give auto, one device, or a mapping"),
        ("device_map: {model: attic}", "device_map cannot put 'model' on 'attic': name a part"),
        ("max_memory: {0: 20GiB}", "max_memory limits an automatic layout only: give device_map:"),
        ("device_map: auto, max_memory: {0: much}", "max_memory of 0 cannot be 'much': give bytes"),
        ("device_map: auto, max_memory: 20GiB", "max_memory cannot be '20GiB': give a mapping"),
        ("device_map: auto, max_memory: {gpu: 1}", "knows no 'gpu': name a GPU by its number"),
    ],
)
def test_a_layout_in_memory_that_makes_no_sense_is_refused(said: str, expected: str) -> None:
    message = refusal(f"models: [{{id: demo, {said}}}]\nbenchmarks: [aqua]")
    assert message.startswith("In the study my.yaml: ")
    assert expected in message


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        (
            "gsm8",
            "no benchmark is called 'gsm8', and no source is given for it: did you mean 'gsm8k'?",
        ),
        ("{name: gsm8}", "did you mean 'gsm8k'?"),
        ("{name: gsm8k, styles: [detaled]}", "no style 'detaled': did you mean 'detailed'?"),
        ("{name: gsm8k, styles: [none, none]}", "The style 'none' is named twice: name it once."),
    ],
)
def test_a_benchmark_that_is_not_known_is_answered_with_the_nearest(
    benchmark: str, expected: str
) -> None:
    message = refusal(f"models: [demo]\nbenchmarks: [{benchmark}]")
    assert message.startswith("In the study my.yaml: ")
    assert expected in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BASE + "sample: 0", "has 0 as 'sample': input should be greater than or equal to 1."),
        (BASE + "sample: many", "has 'many' as 'sample': input should be a valid integer"),
        (BASE + "seed: -1", "has -1 as 'seed': input should be greater than or equal to 0."),
        (BASE + "seed: 1.5", "has 1.5 as 'seed': input should be a valid integer"),
        (BASE + "styles: none", "has 'none' as 'styles': input should be a valid list."),
        (BASE + "statistics: []", "has [] as 'statistics': list should have at least 1 item"),
        (BASE + "statistics: [5]", "has 5 as 'statistics.0': input should be a valid string."),
        (BASE + "protocol: 5", "has 5 as 'protocol': input should be a mapping."),
        (BASE + "protocol:", "has None as 'protocol': input should be a mapping."),
        (BASE + "relevances: [corect]", "input should be 'correct' or 'irrelevant'."),
        (BASE + "sampling: last", "input should be 'first' or 'random'."),
        (BASE + "engine: dask", "has 'dask' as 'engine': input should be 'local' or 'ray'."),
        (BASE + "ray: here", "has 'here' as 'ray': input should be a mapping."),
        (BASE + "ray: {actors: 0}", "has 0 as 'ray.actors': input should be greater than or"),
        (BASE + "ray: {cpus: 0}", "has 0 as 'ray.cpus': input should be greater than 0."),
        (BASE + "ray: {gpus: -1}", "has -1 as 'ray.gpus': input should be greater than or"),
        (BASE + "ray: {address: 5}", "has 5 as 'ray.address': input should be a valid string."),
        (BASE + "ray: {adress: auto}", "unknown key 'ray.adress': did you mean 'address'?"),
        (BASE + 'ray: {address: "ray://head:10001"}', "for programs outside of the cluster"),
        (
            BASE + "generator: llm",
            "as 'generator.kind': input should be 'source', 'openai' or 'transformers'.",
        ),
        (BASE + "generator: {kind: openai, modle: m}", "'generator.modle': did you mean 'model'?"),
        (
            BASE + "generator: {kind: openai, model: m, budget: {request: 3}}",
            "unknown key 'generator.budget.request': did you mean 'requests'?",
        ),
        (
            BASE + "generator: {kind: openai, model: m, price: {prompt: -1, response: 2}}",
            "as 'generator.price.prompt': input should be greater than or equal to 0.",
        ),
        (BASE + "name: 2024-01-01", "as 'name': input should be a valid string."),
        (BASE + "name: " + "x" * 200, "as 'name': string should have at most 100 characters."),
        (BASE + "5: x", "has 5 as '5': keys should be strings."),
        (BASE + "ray: {cpus: 2000000}", "as 'ray.cpus': input should be less than or equal to"),
        (BASE + "ray: {gpus: inf}", "has 'inf' as 'ray.gpus': input should be a finite number."),
        (BASE + "ray: {resources: {a: 'nan'}}", "'ray.resources.a': input should be a finite"),
        (BASE + "unusable_limit: 'nan'", "'unusable_limit': input should be a finite number."),
        (BASE + "x" * 500 + ": 1", "xxx...': known are automation, "),
        (
            "models: demo\nbenchmarks: [aqua]",
            "has 'demo' as 'models': input should be a valid list.",
        ),
        ("models:\nbenchmarks: [aqua]", "has None as 'models': input should be a valid list."),
        ("models: [5]\nbenchmarks: [aqua]", "has 5 as 'models.0': input should be a mapping."),
        (
            "models: [null]\nbenchmarks: [aqua]",
            "has None as 'models.0': input should be a mapping.",
        ),
        (
            "models: [[a]]\nbenchmarks: [aqua]",
            "has ['a'] as 'models.0': input should be a mapping.",
        ),
        (
            "models: [{id: 5}]\nbenchmarks: [aqua]",
            "has 5 as 'models.0.id': input should be a valid",
        ),
        (
            "models: ['']\nbenchmarks: [aqua]",
            "has '' as 'models.0.id': string should have at least 1",
        ),
        (
            "models: [demo]\nbenchmarks: aqua",
            "has 'aqua' as 'benchmarks': input should be a valid list.",
        ),
        (
            "models: [demo]\nbenchmarks: []",
            "has [] as 'benchmarks': list should have at least 1 item",
        ),
        ("models: [demo]\nbenchmarks: [5]", "has 5 as 'benchmarks.0': input should be a mapping."),
        (
            "models: [demo]\nbenchmarks: [{name: 5}]",
            "has 5 as 'benchmarks.0.name': input should be a",
        ),
        (
            "models: [demo]\nbenchmarks: [{name: a, source: mni}]",
            "has 'mni' as 'benchmarks.0.source': input should be 'mini', 'release', ",
        ),
        (
            "models: [demo]\nbenchmarks: [{name: a, source: files, columns: q}]",
            "has 'q' as 'benchmarks.0.columns': input should be a mapping.",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown_with_what_it_should_be(
    text: str, expected: str
) -> None:
    assert expected in refusal(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("benchmarks: [mini_maths]", "models"),
        ("models: [demo]", "benchmarks"),
        ("models: [{}]\nbenchmarks: [aqua]", "models.0.id"),
        ("models: [demo]\nbenchmarks: [{source: files}]", "benchmarks.0.name"),
    ],
)
def test_a_study_that_lacks_something_is_told_to_add_it(text: str, key: str) -> None:
    assert refusal(text) == f"The study my.yaml lacks '{key}': add it."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [demo, demo]\nbenchmarks: [aqua]", "names demo twice among its models"),
        (
            "models: [demo]\nbenchmarks: [aqua, aqua, gsm8k]",
            "names aqua twice among its benchmarks",
        ),
        (
            "models: [a, {id: b, name: a}]\nbenchmarks: [aqua]",
            "names a twice among its models",
        ),
    ],
)
def test_twins_are_told_to_take_names_of_their_own(text: str, expected: str) -> None:
    message = refusal(text)
    assert expected in message
    assert message.endswith("give each its own name.")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "styles: [none", 3),
        (BASE + "  sample: y: z", 3),
        (BASE + "\tsample: 3", 3),
        (BASE + "seed: 1\nname: *nobody", 4),
        (BASE + "---\nname: second", 3),
        (BASE + "? [a]\n: b", 3),
        (BASE + "name: " + "[" * 3000, 3),
        ("models: 'demo", 1),
    ],
)
def test_bad_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    assert refusal(text).startswith(f"The study my.yaml is no valid YAML at line {line} (")


@pytest.mark.parametrize(
    "text",
    [
        BASE + "name: \x00",
        BASE + "seed: 2024-13-45",
        BASE + "seed: 0b_",
    ],
)
def test_yaml_that_breaks_its_reader_is_refused_all_the_same(text: str) -> None:
    assert refusal(text).startswith("The study my.yaml is no valid YAML (")


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system [exit]", "!!python/name:os.system", "!!python/tuple [a]"],
)
def test_yaml_that_asks_for_python_objects_is_refused(tag: str) -> None:
    message = refusal(f"{BASE}name: {tag}")
    assert "at line 3" in message
    assert "could not determine a constructor" in message


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "- demo", "demo", "5", "null"])
def test_a_file_that_is_no_mapping_is_told_how_to_start(text: str) -> None:
    message = refusal(text)
    assert message == "The study my.yaml is no mapping: start it with `models:` and `benchmarks:`."


@pytest.mark.parametrize(
    "text",
    [
        'models: [demo]\nbenchmarks: [{name: a, source: files, path: "a\\0b"}]',
        "models: [demo]\nbenchmarks: [{name: a, source: files, path: ~no-such-user-here/a}]",
        "models: [~no-such-user-here/model]\nbenchmarks: [aqua]",
    ],
)
def test_a_path_that_is_none_is_shown(text: str) -> None:
    assert "is no path (" in refusal(text)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(StudyError) as caught:
        load_study("nowhere/my.yaml")
    message = sentence(str(caught.value), "nowhere/my.yaml")
    assert "cannot be read (No such file or directory): check the path." in message


def test_a_file_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.yaml").write_bytes(b"\x89PNG\xff")
    (tmp_path / "folder.yaml").mkdir()
    for name, reason in (("image", "not UTF-8 text"), ("folder", "Is a directory")):
        with pytest.raises(StudyError) as caught:
            load_study(str(tmp_path / f"{name}.yaml"))
        assert f"cannot be read ({reason})" in sentence(str(caught.value), f"{name}.yaml")


@pytest.mark.parametrize("study", ["~no-such-user-here", "x" * 300])
def test_what_cannot_be_a_path_is_no_study(study: str) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(study)


def test_a_name_that_does_not_ship_is_answered_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"no study 'dmeo'.*: did you mean 'demo'\?"):
        load_study("dmeo")
    with pytest.raises(
        StudyError, match=r"no study 'mine'.*: known are demo, demo_generated, paper\."
    ):
        load_study("mine")


def test_a_fault_in_a_file_is_said_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("models: [demo]\nbenchmarks: [mini_maths]\nsampel: 3\n")
    with pytest.raises(StudyError) as caught:
        load_study(str(tmp_path / "mine.yaml"))
    assert "unknown key 'sampel'" in sentence(str(caught.value), str(tmp_path / "mine.yaml"))
