"""Studies: what a file says is what is run, and what is kept reads back."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.settings import ColumnNames
from gradpipe.claims.inference.bootstrap import MIN_ITEMS
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.errors import StudyError
from gradpipe.gradients.protocol import PAPER, STANDARD
from gradpipe.models.placement import IN_ONE_PIECE, Placement
from gradpipe.models.roles import ROLES
from gradpipe.models.source import ModelSource
from gradpipe.statistics.reductions import DEFAULT_STATISTICS, REDUCTIONS
from gradpipe.studies.load import load_study, parse_study, study_yaml
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.provenance import PACKAGES, extraction_costs, provenance
from gradpipe.studies.shipped import shipped_studies
from gradpipe.studies.study import Study
from gradpipe.styles import STYLES

BASE = "models: [demo]\nbenchmarks: [mini_maths]\n"
TEXT = st.text(min_size=1, max_size=30)
#: Short enough for a file's name, whatever their characters.
NAMES = st.text(min_size=1, max_size=16)
STYLE_LISTS = st.lists(st.sampled_from(STYLES), min_size=1, max_size=3, unique=True)
STYLE_MAPPINGS = st.dictionaries(
    st.sampled_from([*STYLES, "teacher_a", "teacher_b", "teacher_a_cut"]),
    st.none() | st.fixed_dictionaries({}, optional={"color": st.just("#0072B2")}),
    min_size=1,
    max_size=4,
)


def mappings(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def folded(entry: dict[str, Any]) -> bytes:
    """An entry's name, but for the case of English letters."""
    name: str = entry["name"]
    return name.encode().lower()


def name_of(model: dict[str, Any]) -> bytes:
    return folded({"name": ModelConfig.model_validate(model).name})


LAYER_NAMES = st.dictionaries(st.sampled_from(list(ROLES)), TEXT, max_size=3)
MODELS = mappings(
    {"id": NAMES},
    revision=st.none() | st.just("v2"),
    chat=st.none() | st.booleans(),
    name=NAMES,
    layer_names=LAYER_NAMES,
)
BENCHMARKS = mappings(
    {"name": NAMES, "source": st.sampled_from(["mini", "release", "flan", "files"])},
    path=st.none() | TEXT,
    family=st.sampled_from([None, "math", "commonsense", "knowledge"]),
    columns=mappings(
        {},
        instruction=TEXT,
        answer=st.none() | TEXT,
        responses=st.dictionaries(TEXT, TEXT, max_size=2),
    ),
    sample=st.none() | st.integers(1, 10**12),
    styles=st.none() | STYLE_LISTS,
    checksums=st.booleans(),
)
PROTOCOLS = st.sampled_from(["paper", "standard"]) | mappings(
    {"preset": st.sampled_from(["paper", "standard"])},
    chat=st.none() | st.booleans(),
    system=st.none() | st.text(max_size=30),
    max_length=st.integers(2, 10**6),
    thinking=st.sampled_from([None, "auto", "inside", "closed"]),
    template_date=st.dates() | st.dates().map(str),
    dtype=st.sampled_from(["float32", "bfloat16", "float16"]),
    projections=st.lists(st.sampled_from(list(ROLES)), min_size=1, max_size=4, unique=True),
    layer_names=LAYER_NAMES,
)
STUDIES = mappings(
    {
        "models": st.lists(MODELS, max_size=3, unique_by=name_of),
        "benchmarks": st.lists(BENCHMARKS, min_size=1, max_size=3, unique_by=folded),
    },
    name=TEXT,
    styles=st.none() | STYLE_LISTS | STYLE_MAPPINGS,
    relevances=st.sampled_from([["correct"], ["irrelevant"], ["irrelevant", "correct"]]),
    irrelevant=st.sampled_from(["derangement", "release"]),
    sample=st.none() | st.integers(1, 10**12),
    automation=st.booleans() | st.just("nightly"),
    unusable_limit=st.floats(0, 1),
    sampling=st.sampled_from(["first", "random"]),
    seed=st.integers(0, 2**63 - 1),
    protocol=PROTOCOLS,
    statistics=st.lists(st.sampled_from(list(REDUCTIONS)), min_size=1, unique=True),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(STUDIES)
@example(
    {"models": [{"id": "yes"}], "benchmarks": [{"name": "1e3", "source": "mini"}], "name": "no"}
)
@example(
    {"models": [], "benchmarks": [{"name": "null", "source": "mini", "path": "~"}], "name": " "}
)
@example(
    {
        "models": [{"id": "\x85\u2028\ufeff\0\x7f🙂"}],
        "benchmarks": [{"name": "0x1F", "source": "mini"}],
    }
)
def test_every_study_reads_back_from_its_own_yaml(content: dict[str, Any]) -> None:
    study = Study.model_validate(content)
    text = study_yaml(study)
    assert parse_study(text, "kept.yaml") == study
    assert study_yaml(parse_study(text, "kept.yaml")) == text


def test_a_models_layout_in_memory_is_read_and_reads_back() -> None:
    study = parse_study(
        "benchmarks: [mini_maths]\nmodels:\n- {id: a, gradient_checkpointing: true}\n"
        "- {id: b, device_map: auto, max_memory: {0: 20GiB, cpu: 5000}}\n"
        "- {id: c, device_map: {model: 0, lm_head: disk}}\n- d\n",
        "my.yaml",
    )
    placements = [model.placement for model in study.models]
    assert placements == [
        Placement(checkpointing=True),
        Placement("auto", max_memory={0: "20GiB", "cpu": 5000}),
        Placement({"model": 0, "lm_head": "disk"}),
        IN_ONE_PIECE,
    ]
    assert parse_study(study_yaml(study), "my.yaml") == study


@pytest.mark.parametrize("name", ["demo", "paper"])
def test_every_study_that_ships_reads_back_too(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert parse_study(study_yaml(study), name) == study


def test_the_studies_that_ship_are_known_by_name() -> None:
    assert shipped_studies() == ["demo", "demo_generated", "paper", "quality", "thinking"]


def test_the_demo_takes_as_many_items_of_own_benchmarks_as_a_verdict_needs() -> None:
    demo = load_study("demo")
    assert [model.id for model in demo.models] == ["demo"]
    assert {benchmark.source for benchmark in demo.benchmarks} == {"mini"}
    assert {benchmark.sample for benchmark in demo.benchmarks} == {MIN_ITEMS}
    assert demo.protocol == STANDARD
    assert demo.relevances == ("correct", "irrelevant")


def test_the_paper_is_as_the_paper_has_it() -> None:
    paper = load_study("paper")
    assert paper.protocol == PAPER
    assert paper.irrelevant == "release"
    assert {benchmark.source for benchmark in paper.benchmarks} == {"release"}
    bases, tuned = paper.models[::2], paper.models[1::2]
    assert len(bases) == len(tuned) == 5
    assert all(paper.protocol_of(model).chat is False for model in bases)
    for model in tuned:
        system = None if "gemma" in model.id else PAPER.system
        assert paper.protocol_of(model) == PAPER.model_copy(update={"system": system})
    assert all(model.id.endswith(("-it", "-Instruct", "-chat-hf")) for model in tuned)


def test_a_bare_name_stands_for_its_model_and_its_benchmark() -> None:
    study = parse_study("models: [demo]\nbenchmarks: [mini_maths, gsm8k]\n", "my.yaml")
    assert study.models == (ModelConfig(id="demo", name="demo"),)
    assert study.benchmarks == (
        BenchmarkConfig(name="mini_maths", source="mini"),
        BenchmarkConfig(name="gsm8k", source="release"),
    )


def test_a_benchmark_without_a_source_has_the_one_its_name_implies() -> None:
    text = (
        "models: [demo]\nbenchmarks: [{name: gsm8k, sample: 2}, {name: mini_maths, source: files}]"
    )
    assert [b.source for b in parse_study(text, "my.yaml").benchmarks] == ["release", "files"]


def test_everything_else_has_a_default() -> None:
    study = parse_study(BASE, "my.yaml")
    assert study == Study(models=study.models, benchmarks=study.benchmarks)
    assert study.name == "study"
    assert study.styles is None
    assert study.sample is None
    assert study.protocol == STANDARD
    assert study.statistics == DEFAULT_STATISTICS
    assert study.benchmarks[0].columns == ColumnNames()


def test_a_model_is_named_by_its_id_and_revision_unless_it_is_given_a_name() -> None:
    text = """
    models:
      - org/base
      - {id: org/base, revision: v2}
      - {id: org/base, revision: v2, chat: false, name: plain}
      - {id: org/base, name: ""}
    benchmarks: [mini_maths]
    """
    with pytest.raises(StudyError, match="org/base"):
        parse_study(text, "my.yaml")
    study = parse_study(text.replace('      - {id: org/base, name: ""}\n', ""), "my.yaml")
    assert [model.name for model in study.models] == ["org/base", "org/base@v2", "plain"]
    assert study.model("plain") == ModelConfig(
        id="org/base", revision="v2", chat=False, name="plain"
    )


def test_a_models_own_chat_overrides_the_protocols() -> None:
    text = """
    models: [a, {id: b, chat: false}, {id: c, chat: true}]
    benchmarks: [mini_maths]
    protocol: {preset: paper, chat: true, max_length: 64}
    """
    study = parse_study(text, "my.yaml")
    protocols = [study.protocol_of(model) for model in study.models]
    assert [protocol.chat for protocol in protocols] == [True, False, True]
    assert {protocol.max_length for protocol in protocols} == {64}
    assert protocols[0] == study.protocol


def test_a_models_own_layer_names_override_the_protocols_role_by_role() -> None:
    text = """
    models: [a, {id: b, layer_names: {q: mix.alpha, up: mlp.in}}]
    benchmarks: [mini_maths]
    protocol: {projections: [q, k, up], layer_names: {q: attn.wq, k: attn.wk}}
    """
    study = parse_study(text, "my.yaml")
    first, second = (study.protocol_of(model) for model in study.models)
    assert first == study.protocol
    assert second.layer_names.paths == {"q": "mix.alpha", "k": "attn.wk", "up": "mlp.in"}
    assert second.projections == ("q", "k", "up")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("paper", PAPER),
        ("standard", STANDARD),
        ("{max_length: 64}", STANDARD.model_copy(update={"max_length": 64})),
        ("{preset: paper, system: null}", PAPER.model_copy(update={"system": None})),
        ("{projections: [o, q]}", STANDARD.model_copy(update={"projections": ("o", "q")})),
    ],
)
def test_a_protocol_is_a_preset_with_changes(said: str, expected: object) -> None:
    assert parse_study(f"{BASE}protocol: {said}\n", "my.yaml").protocol == expected


def test_relative_paths_are_taken_from_the_files_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", "/home/me")
    file = tmp_path / "studies" / "my.yaml"
    file.parent.mkdir()
    file.write_text(
        """
models: [./near, ../far, .hidden/model, "~/mine", plain.gguf, {id: ./named, name: short}]
benchmarks:
  - {name: a, source: files, path: data/a.csv}
  - {name: b, source: files, path: ../b.csv}
  - {name: c, source: files, path: "~/c.csv"}
  - {name: d, source: files, path: /data/d.csv}
"""
    )
    for study in (load_study(str(file)), load_study("../studies/my.yaml")):
        assert [model.id for model in study.models] == [
            f"{tmp_path}/studies/near",
            f"{tmp_path}/far",
            f"{tmp_path}/studies/.hidden/model",
            "/home/me/mine",
            f"{tmp_path}/studies/plain.gguf",
            f"{tmp_path}/studies/named",
        ]
        assert study.models[-1].name == "short"
        assert [benchmark.path for benchmark in study.benchmarks] == [
            f"{tmp_path}/studies/data/a.csv",
            f"{tmp_path}/b.csv",
            "/home/me/c.csv",
            "/data/d.csv",
        ]


def test_urls_hub_ids_and_the_demo_are_left_alone(tmp_path: Path) -> None:
    text = """
name: my
models: [demo, org/name, gpt2, {id: org/other, revision: v2}, "hf://org/x.gguf"]
benchmarks:
  - {name: a, source: files, path: "https://example.org/a.csv"}
  - {name: b, source: files, path: "s3://bucket/b.parquet"}
  - {name: mini_maths, path: null}
  - gsm8k
"""
    (tmp_path / "my.yaml").write_text(text)
    assert load_study(str(tmp_path / "my.yaml")) == parse_study(text, "my.yaml")


@pytest.mark.parametrize(
    ("file", "name"), [("my.yaml", "my"), ("my.v2.yml", "my.v2"), ("folder/study.yaml", "folder")]
)
def test_a_study_without_a_name_has_that_of_its_file(file: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(BASE)
    study = load_study(str(path))
    assert study.name == name
    # What is kept in a workspace has the name, and the file has none of its own.
    assert parse_study(study_yaml(study), "kept").name == name
    assert "name" not in study.model_fields_set


def test_a_study_in_the_folder_above_is_named_by_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    (tmp_path / "mine" / "study.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path / "mine" / "sub")
    assert load_study("../study.yaml").name == "mine"
    assert load_study("../../mine/study.yaml").name == "mine"


def test_a_study_is_found_by_any_name_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my.yaml", "my.yml", "my study", "my"):
        Path(name).write_text(f"name: {name}\n{BASE}")
        assert load_study(name).name == name


def test_models_and_benchmarks_are_found_by_name_or_the_nearest_is_named() -> None:
    study = load_study("demo")
    assert study.benchmark("mini_maths").source == "mini"
    assert study.model("demo").id == "demo"
    with pytest.raises(StudyError, match="'mini_math'.*'mini_maths'"):
        study.benchmark("mini_math")
    with pytest.raises(StudyError, match="'gpt2'.*demo"):
        study.model("gpt2")


def test_provenance_tells_what_was_run_on_what() -> None:
    study = parse_study("models: [{id: org/base, revision: v2}]\nbenchmarks: [gsm8k]\n", "my.yaml")
    source = ModelSource("hub", "org/base", "c0ffee")
    computed = pl.concat(
        pl.DataFrame({**of_one, "model": "org/base@v2", "hardware": "a GPU"})
        for of_one in (
            {"examples": [3], "tokens": [70], "seconds": [1.25]},
            {"examples": [2], "tokens": [30], "seconds": [0.5]},
        )
    )
    models = {"org/base@v2": (source, "print")}
    record = provenance(study, models, {"gsm8k": ("version", 12)}, computed)
    (gradients,) = record["gradients"]
    assert gradients["hardware"] == "a GPU"
    assert [gradients[name] for name in ("examples", "tokens", "seconds")] == [5, 100, 1.8]
    assert parse_study(record["study_yaml"], "again") == study
    (model,) = record["models"]
    assert (model["name"], model["kind"], model["revision"]) == ("org/base@v2", "hub", "c0ffee")
    assert model["fingerprint"] == "print"
    (benchmark,) = record["benchmarks"]
    assert (benchmark["version"], benchmark["items"]) == ("version", 12)
    assert "revision" not in benchmark
    commits = {"gsm8k": "c0ffee"}
    notes = {"org/base@v2": ["One thing.", "Another."]}
    more = provenance(study, models, {"gsm8k": ("v", 1)}, computed, revisions=commits, notes=notes)
    assert more["benchmarks"][0]["revision"] == "c0ffee"
    assert more["models"] == [model | {"prompts": "One thing. Another."}]
    assert set(record["versions"]) == {"python", *PACKAGES}
    assert record["protocol"]["preset"] == "standard"


def test_what_gradients_cost_is_counted_once_for_equal_examples() -> None:
    examples = pl.LazyFrame(
        {
            "key": ["a", "b", "b", "c"],
            "hardware": ["cpu", "gpu", "gpu", "gpu"],
            "tokens": [5, 7, 7, 9],
            "seconds": [3.0, 0.5, 0.5, 0.25],
        }
    )
    assert extraction_costs("m", examples).rows() == [
        ("m", "cpu", 1, 5, 3.0),
        ("m", "gpu", 2, 16, 0.75),
    ]


def test_a_local_model_is_called_what_its_user_calls_it(tmp_path: Path) -> None:
    study = parse_study("models: [./m]\nbenchmarks: [mini_maths]\n", "my.yaml", tmp_path)
    assert [(model.name, model.id) for model in study.models] == [("./m", str(tmp_path / "m"))]


@pytest.mark.parametrize(
    ("written", "meant"), [("on", True), ("off", False), ("nightly", "nightly"), ("true", True)]
)
def test_automation_is_written_as_people_write_switches(written: str, meant: bool | str) -> None:
    assert parse_study(f"{BASE}automation: {written}\n", "here").automation == meant


def test_automation_is_off_unless_it_is_asked_for() -> None:
    assert parse_study(BASE, "here").automation is False
    with pytest.raises(StudyError, match="automation"):
        parse_study(f"{BASE}automation: hourly\n", "here")


def test_a_study_s_own_claims_are_judged_before_the_paper_s() -> None:
    study = parse_study(BASE + "claims: [none > detailed on effective_rank]", "s")
    first, *others = study.all_claims()
    assert (first.statistic, [term.style for term in first.terms]) == (
        "effective_rank",
        ["none", "detailed"],
    )
    assert others == list(PAPER_CLAIMS)


def test_pairs_of_models_are_found_by_their_names_unless_a_base_is_given() -> None:
    models = "models: [x-7b, x-7b-instruct, {id: y, base: x-7b}, {id: z-it, base: y}, z]\n"
    study = parse_study(models + "benchmarks: [mini_maths]", "s")
    assert study.model_pairs() == [("x-7b", "y"), ("y", "z-it"), ("x-7b", "x-7b-instruct")]


def test_every_setting_has_a_description() -> None:
    schema = Study.model_json_schema()
    objects = {"Study": schema, **schema["$defs"]}
    properties = {
        f"{name}.{key}": value
        for name, definition in objects.items()
        for key, value in definition.get("properties", {}).items()
    }
    assert len(properties) > 70
    assert not [key for key, value in properties.items() if not value.get("description")]


def test_thinking_is_switched_on_and_off_offline() -> None:
    study = load_study("thinking")
    assert [model.id for model in study.models] == ["demo"]
    assert study.styles == ("answer_only", "thinking")
    assert {benchmark.source for benchmark in study.benchmarks} == {"mini"}
    assert study.generator.kind == "source"
    protocol = study.protocol_of(study.models[0])
    assert "<think>" in str(protocol.chat_template)
    assert parse_study(study_yaml(study), "thinking") == study


def test_a_model_brings_its_chat_template_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ messages[0].content }}", "utf-8")
    study = parse_study(
        "models:\n"
        "  - demo\n"
        "  - {id: demo, name: own, chat_template: own.jinja, chat_template_kwargs: {a: 1}}\n"
        "benchmarks: [mini_maths]\n"
        "protocol: {preset: standard, chat_template_kwargs: {a: 0, b: 2}}\n",
        "my.yaml",
        tmp_path,
    )
    plain, own = (study.protocol_of(model) for model in study.models)
    assert (plain.chat_template, plain.chat_template_kwargs) == (None, {"a": 0, "b": 2})
    assert own.chat_template == "{{ messages[0].content }}"
    assert own.chat_template_kwargs == {"a": 1, "b": 2}
    assert own.key() != plain.key()


@pytest.mark.parametrize("template", ["thinks", "missing.jinja", "empty.jinja"])
def test_a_chat_template_that_is_not_there_is_named(tmp_path: Path, template: str) -> None:
    (tmp_path / "empty.jinja").write_text(" \n", "utf-8")
    text = f"models: [{{id: demo, chat_template: {template}}}]\nbenchmarks: [mini_maths]\n"
    with pytest.raises(StudyError, match=template):
        parse_study(text, "my.yaml", tmp_path)


def test_the_path_of_a_hub_data_set_is_its_name_wherever_the_study_is(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "models: [demo]\nrelevances: [correct, rejected]\nbenchmarks:\n"
        "  - {name: own, source: hub, path: org/name, config: c, split: 'train[:5]'}\n"
        "  - {name: gsm8k, source: hub, path: copy}\n"
    )
    study = load_study(str(file))
    own, known = study.benchmarks
    assert (own.path, own.config, own.split) == ("org/name", "c", "train[:5]")
    assert known.path == str(tmp_path / "copy")
    assert parse_study(study_yaml(study), "again") == study


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ("{name: own, source: hub, path: name}", "write ORG/NAME"),
        ("{name: own, source: hub, path: a/b, split: 'train[:5%]'}", "percent"),
        ("{name: gsm8k, source: hub, config: c}", "`config`"),
        ("{name: own, source: files, path: a.csv, config: c}", "`config`, which the source"),
    ],
)
def test_settings_that_do_not_fit_a_hub_data_set_are_refused(benchmark: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        parse_study(f"models: [demo]\nbenchmarks: [{benchmark}]\n", "my.yaml")
