"""Other projects get the same rows in processes of their own; what is missing is listed."""

import json
import stat
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from bench import peers, peers_child, peers_process
from bench.__main__ import main
from bench.bare import BUDGETS
from bench.peers import PeersRun, peer_rows, tuning_rows
from bench.peers_methods import METHODS, OURS, PeerMethod, choose_methods
from bench.peers_summary import summarize_peers
from bench.settings import Settings
from bench.tables import COLUMNS, markdown_table
from gradpipe.errors import DataError
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel

VARIABLES = ("REFERENCE", "REFERENCE_PYTHON", "BERGSON_PYTHON", "DATASCORER", "DATASCORER_PYTHON")
FAKE = """#!{python} -S
import json, os, sys
asked = json.load(open(sys.argv[-1]))
print("the project's own output")
if {fails}:
    print("RuntimeError: no kernel for this processor", file=sys.stderr)
    print("a warning at the end", file=sys.stderr)
    sys.exit(1)
with open({log!r}, "a") as log:
    settings = ("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")
    found = dict(environment={{name: os.environ.get(name) for name in settings}}, **asked)
    log.write(json.dumps(found) + "\\n")
seconds = 2.0 * len(asked["rows"])
result = dict(seconds=seconds, tokens=7, peak=9, above=4, version="2.5", torch="2")
json.dump(dict(batching=1024) if asked["tune"] else result, open(asked["result"], "w"))
"""


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("bench.peers_methods.find_spec", lambda _: None)


@pytest.fixture
def some(loaded: LoadedModel, rows: list[TokenRow]) -> list[dict[str, Any]]:
    return peer_rows(loaded, rows)


def fake_python(folder: Path, fails: bool = False) -> tuple[Path, Path]:
    """A Python that answers every request, and its log of them."""
    program, log = folder / f"python-{fails}", folder / "log.jsonl"
    program.write_text(FAKE.format(python=sys.executable, fails=fails, log=str(log)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program, log


def method(name: str) -> PeerMethod:
    (found,) = choose_methods((name,))
    return found


def request(name: str, model: Path, some: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    chosen = method(name)
    asked = {
        "adapter": chosen.adapter,
        "options": dict(chosen.options),
        "package": chosen.package,
        "checkout": None,
        "model": str(model),
        "threads": torch.get_num_threads(),
        "budget": None,
        "rows": some,
        "batching": None,
        "tune": False,
    }
    return asked | more


def run_of(folder: Path, *names: str, rounds: int = 1) -> PeersRun:
    settings = Settings(rounds=rounds)
    return PeersRun(choose_methods(names), folder, 1, settings, lambda _: None)


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["peers", *map(str, arguments)])


@pytest.mark.parametrize("name", ["bare", "gradpipe", "gradpipe-spectra", "naive"])
def test_our_own_methods_are_timed_on_all_tokens(
    small_model: Path, some: list[dict[str, Any]], name: str
) -> None:
    result = peers_child.run_request(request(name, small_model, some, batching=512))
    assert result["tokens"] == 30 + 9 + 41 + 31 + 40
    assert result["seconds"] > 0
    assert 0 <= result["above"] < result["peak"]
    assert result["torch"] == torch.__version__


def test_the_batching_of_the_bare_passes_is_chosen(
    small_model: Path, some: list[dict[str, Any]]
) -> None:
    result = peers_child.run_request(request("bare", small_model, some, tune=True))
    assert result["batching"] in BUDGETS


def test_rows_have_the_same_text_as_tokens_and_as_text(
    loaded: LoadedModel, some: list[dict[str, Any]]
) -> None:
    ascii_row = TokenRow(list(range(40, 90)), 20, False)
    (row,) = peer_rows(loaded, [ascii_row])
    assert loaded.tokenizer.encode(row["prompt"]) == row["ids"][: row["start"]]
    assert loaded.tokenizer.encode(row["response"]) == row["ids"][row["start"] :]
    assert sorted(len(row["ids"]) for row in tuning_rows(some)) == [9, 30, 31, 40, 41]


def test_the_reference_gets_text_and_response(
    small_model: Path, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[str, str, int]] = []
    script = ModuleType("get_gradient_values")

    def compute(
        _tokenizer: Any, _model: Any, text: str, target: str, longest: int, _found: dict[str, Any]
    ) -> None:
        called.append((text, target, longest))

    monkeypatch.setattr(script, "cal_svd_vector_part_text", compute, raising=False)
    monkeypatch.setitem(sys.modules, "get_gradient_values", script)
    monkeypatch.setattr(sys, "path", [*sys.path])
    rows = peer_rows(loaded, [TokenRow(list(range(40, 90)), 20, False)])
    asked = request("reference", small_model, rows, checkout=str(tmp_path))
    result = peers_child.run_request(asked)
    text = rows[0]["prompt"] + rows[0]["response"]
    # One row untimed, then all.
    assert called == [(text, rows[0]["response"], 66)] * 2
    assert result["tokens"] == 50
    assert str(tmp_path / "code_gradient") in sys.path


def test_the_datascorer_takes_all_layers_and_no_other_model(
    small_model: Path, loaded: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, configs, items = "NuclearNormScorer", [], []
    used = str(small_model)

    class Scorer:
        def __init__(self, config: dict[str, Any]) -> None:
            configs.append(config)
            self.model = torch.nn.Linear(2, 2)
            monkeypatch.setattr(
                self.model, "config", SimpleNamespace(name_or_path=used), raising=False
            )
            self.tokenizer = loaded.tokenizer

        def score_item(self, item: dict[str, str]) -> None:
            items.append(item)

    module = ModuleType(f"scorers.{name}")
    monkeypatch.setattr(module, name, Scorer, raising=False)
    monkeypatch.setitem(sys.modules, "scorers", ModuleType("scorers"))
    monkeypatch.setitem(sys.modules, f"scorers.{name}", module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    rows = peer_rows(loaded, [TokenRow(list(range(40, 90)), 20, False)])
    asked = request("datascorer", small_model, rows, checkout=str(tmp_path))
    assert peers_child.run_request(asked)["tokens"] > 0
    (config,) = configs
    assert (config["start_layer_index"], config["num_layers"]) == (0, 3)
    assert items == [{"instruction": rows[0]["prompt"], "output": rows[0]["response"]}] * 2
    used = "gpt2"
    with pytest.raises(ValueError, match=name):
        peers_child.run_request(asked)


def test_bergson_gets_tokens_with_labels_for_q_k_v_and_o(
    small_model: Path, some: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    collected: list[dict[str, Any]] = []

    def index_config(**settings: Any) -> SimpleNamespace:
        return SimpleNamespace(partial_run_path=settings["run_path"] + ".part", **settings)

    def module(name: str, **members: Any) -> None:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))

    module("bergson.config.config", IndexConfig=index_config)
    module(
        "bergson.utils.worker_utils",
        setup_model_and_peft=lambda _: (torch.nn.Linear(2, 2), None),
        create_processor=lambda *_: None,
    )
    module("bergson.data", allocate_batches=lambda lengths, _: [list(range(len(lengths)))])
    module("bergson.collection", collect_gradients=lambda **given: collected.append(given))
    result = peers_child.run_request(request("bergson", small_model, some, batching=16))
    assert result["tokens"] == sum(len(row["ids"]) for row in some)
    _, last = collected
    assert last["data"]["input_ids"][:] == [row["ids"] for row in some]
    for labels, row in zip(last["data"]["labels"], some, strict=True):
        assert labels == [-100] * row["start"] + row["ids"][row["start"] :]
    assert (last["cfg"].projection_dim, last["cfg"].filter_modules) == (16, "*mlp*")
    # No batch may be smaller than its longest row.
    assert last["cfg"].token_batch_size == max(len(row["ids"]) for row in some)


def test_another_project_runs_in_its_own_python_without_our_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[dict[str, Any]]
) -> None:
    python, log = fake_python(tmp_path)
    monkeypatch.setenv("BERGSON_PYTHON", str(python))
    monkeypatch.setenv("GOMP_SPINCOUNT", peers_process.OUR_VARIABLES["GOMP_SPINCOUNT"])
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    run = run_of(tmp_path, "bergson", rounds=2)
    run.measure({"none": some})
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    # The batching is chosen once.
    assert [(one["tune"], one["batching"]) for one in asked] == [
        (True, None),
        (False, 1024),
        (False, 1024),
    ]
    assert asked[0]["environment"] == {
        "OMP_NUM_THREADS": "1",
        "GOMP_SPINCOUNT": None,
        "PYTHONPATH": None,
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert asked[1]["rows"] == some
    (row,) = summarize_peers(run).iter_rows(named=True)
    assert (row["case"], row["seconds"], row["peak"]) == ("bergson, none", 2.0, 9.0)
    assert (row["version"], row["batching"], row["ratio"]) == ("2.5", 1024, None)


def test_rounds_take_the_methods_in_turn_and_ratios_are_to_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[dict[str, Any]]
) -> None:
    taken: list[str] = []

    def answer(chosen: PeerMethod, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["tune"]:
            return {"batching": 512}
        taken.append(chosen.name)
        seconds = {OURS: 5.0, "naive": 15.0}.get(chosen.name, 2.5)
        return {"seconds": seconds, "tokens": 50, "peak": 1, "above": 0}

    monkeypatch.setattr(peers, "in_fresh_process", answer)
    run = run_of(tmp_path, rounds=2)
    run.measure({"none": some, "detailed": some})
    own = ["bare", OURS, "gradpipe-spectra", "naive"]
    assert taken == [*own, *own, *reversed(own), *reversed(own)]
    summary = summarize_peers(run)
    ratios = dict(summary.drop_nulls("ratio").select("case", "ratio").iter_rows())
    assert ratios["naive, none"] == 3
    assert ratios["bare, detailed"] == 0.5
    assert ratios[f"{OURS}, none"] == 1
    assert summary["case"].to_list()[-3:] == ["reference", "bergson", "datascorer"]
    absent = summary.filter(summary["seconds"].is_null())
    assert all(text.startswith("not installed: ") for text in absent["delivers"])
    table = markdown_table("peers", summary.to_dicts())
    assert "BERGSON_PYTHON" in table
    assert "3.00 ×" in table
    assert {column.key for column in COLUMNS["peers"]} <= set(summary.columns)


def test_a_project_that_fails_is_listed_with_its_error_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[dict[str, Any]]
) -> None:
    python, _ = fake_python(tmp_path, fails=True)
    monkeypatch.setenv("BERGSON_PYTHON", str(python))
    run = run_of(tmp_path, "bergson", rounds=2)
    run.measure({"none": some, "detailed": some})
    (row,) = summarize_peers(run).iter_rows(named=True)
    assert row["delivers"].startswith("failed: ")
    assert row["delivers"].endswith("RuntimeError: no kernel for this processor")
    assert row["seconds"] is None


def test_a_method_of_ours_that_fails_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[dict[str, Any]]
) -> None:
    def fail(chosen: PeerMethod, _asked: dict[str, Any]) -> dict[str, Any]:
        raise DataError(f"{chosen.name} stopped")

    monkeypatch.setattr(peers, "in_fresh_process", fail)
    with pytest.raises(DataError, match="naive"):
        run_of(tmp_path, "naive").measure({"none": some})


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_names_nothing_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
    done = bench("--model", "/nowhere/model", "--out", tmp_path / "p.json")
    assert done.exit_code == 2
    assert variable in done.output


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    done = bench("--methods", "bergsen", "--out", tmp_path / "p.json")
    assert done.exit_code == 2
    assert "'bergson'" in done.output


def test_a_package_in_this_environment_needs_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert method("bergson").missing()
    monkeypatch.setattr("bench.peers_methods.find_spec", lambda name: name == "bergson" or None)
    assert not method("bergson").missing()
    assert [one.name for one in METHODS if one.missing()] == ["reference", "datascorer"]


@pytest.mark.slow
def test_peers_compares_processes_from_command_to_json(
    small_model: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, _ = fake_python(tmp_path)
    monkeypatch.setenv("BERGSON_PYTHON", str(python))
    # Each process of ours takes seconds to import torch.
    options = ("--model", small_model, "--data", table, "--rows", 2, "--rounds", 1)
    out = tmp_path / "p.json"
    names = "gradpipe,bergson,reference"
    done = bench(*options, "--styles", "none", "--methods", names, "--out", out)
    assert done.exit_code == 0, done.output
    text = out.read_text("utf-8")
    assert str(tmp_path) not in text
    found = json.loads(text)["parts"]["peers"]
    cases = [row["case"] for row in found["summary"]]
    assert cases == [f"{OURS}, none", "bergson, none", "reference"]
    assert [goal["case"] for goal in found["goals"]] == ["bergson, none"]
