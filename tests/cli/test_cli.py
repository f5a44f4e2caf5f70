"""The command line as a user types it: what it prints, and its exit codes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from assets.running.instance import open_instance
from gradpipe.cli import main
from gradpipe.standalone.part_tables import head_table
from storage.workspace import Workspace
from tests.conftest import workspace_of


def gradpipe(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture(scope="module")
def finished(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A workspace after `gradpipe run` on a small study, and what the command printed."""
    folder = tmp_path_factory.mktemp("finished")
    study = folder / "small.yaml"
    study.write_text(
        f"name: small\nmodels: [{{id: '{small_model}', name: small}}]\n"
        "benchmarks: [mini_obscure]\nsample: 2\nsampling: first\n"
    )
    with workspace_of(folder):
        result = gradpipe("run", "--study", str(study), "--json")
    return folder / "workspace", result


@pytest.fixture
def after_run(finished: tuple[Path, Result], home: Path, no_images: None) -> Path:
    """A copy of that workspace as the current one; later reports have no images."""
    return Path(shutil.copytree(finished[0], home))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.json"
    rows = [
        {"instruction": "Say hello.", "input": "", "output": "Hello!"},
        {"instruction": "Say nothing.", "input": "", "output": ""},
        {"instruction": "Count", "input": "to two.", "output": "One, two."},
    ]
    path.write_text(json.dumps(rows))
    return path


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("gradpipe: ")
    assert "Traceback" not in result.output
    for word in words:
        assert word in message


def test_run_ends_stdout_with_one_json_object_and_shows_progress_on_stderr(
    finished: tuple[Path, Result], after_run: Path
) -> None:
    result = finished[1]
    assert result.exit_code == 0
    last = json.loads(result.stdout.splitlines()[-1])
    assert set(last) == {"stages", "other_seconds", "seconds", "report"}
    taken = [stage["seconds"] for stage in last["stages"].values()]
    assert sum([*taken, *last["other_seconds"].values()]) == pytest.approx(last["seconds"])
    assert last["stages"]["gradient_spectra"]["seconds"] > 0
    assert "Time of the run before this page" in Path(last["report"]).read_text()
    assert list(last["stages"]) == [
        "benchmark_items",
        "responses",
        "gradient_spectra",
        "spectral_statistics",
        "report",
    ]
    assert last["stages"]["gradient_spectra"]["computed"] == 4
    assert Path(last["report"]).is_file()
    assert list(Path(last["report"]).parent.rglob("*.svg"))
    stage = ["gradient_spectra", "small", "×", "mini_obscure"]
    assert stage in [line.split() for line in result.stderr.splitlines()]

    again = json.loads(gradpipe("run", "--json").stdout.splitlines()[-1])
    assert all(stage["computed"] == 0 for stage in again["stages"].values())


def test_a_report_that_is_not_there_yet_is_answered_with_how_to_make_it(home: Path) -> None:
    refused(gradpipe("report"), "gradpipe run")


def test_status_report_backfill_and_models_follow_a_run(after_run: Path, other_model: Path) -> None:
    assert gradpipe("report").stdout.strip().endswith("index.html")
    assert "missing" not in gradpipe("status").stdout

    added = gradpipe("models", "add", str(other_model), "--name", "other")
    assert added.exit_code == 0
    assert "other" in gradpipe("models", "list").stdout
    status = gradpipe("status").stdout
    assert "missing" in status
    assert "out of date" in status

    outcome = gradpipe("backfill", "--model", "other", "--json")
    stages = json.loads(outcome.stdout.splitlines()[-1])["stages"]
    assert stages["gradient_spectra"]["computed"] == 4
    refused(gradpipe("backfill", "--model", "othre"), "'othre'", "'other'")

    assert gradpipe("models", "remove", "other").exit_code == 0
    assert "other" not in gradpipe("models", "list").stdout
    refused(gradpipe("models", "remove", "other"), "'other'")


def test_models_add_and_remove_change_the_partitions_and_keep_rows_unless_asked(
    after_run: Path, other_model: Path
) -> None:
    gradpipe("models", "add", str(other_model), "--name", "other")
    workspace = Workspace.current()
    with open_instance(workspace) as instance:
        assert set(instance.get_dynamic_partitions("models")) == {"small", "other"}
    gradpipe("models", "remove", "small")
    with open_instance(workspace) as instance:
        assert set(instance.get_dynamic_partitions("models")) == {"other"}
    assert workspace.spectra("small", "mini_obscure").parts()

    gradpipe("models", "add", str(other_model), "--name", "small")
    assert gradpipe("models", "remove", "small", "--rows").exit_code == 0
    assert not workspace.spectra("small", "mini_obscure").parts()


def test_a_dry_run_prints_what_a_backfill_would_compute_and_computes_nothing(
    after_run: Path, other_model: Path
) -> None:
    gradpipe("models", "add", str(other_model), "--name", "other")
    table = gradpipe("backfill", "--dry-run").stdout
    assert "mini_obscure" in table
    assert "other" in table
    words = ("backfill", "--model", "other", "--benchmark", "mini_obscure", "--dry-run", "--json")
    (cell,) = json.loads(gradpipe(*words).stdout)
    assert (cell["model"], cell["benchmark"], cell["rows"]) == ("other", "mini_obscure", 4)
    assert cell["tokens"] > 0
    assert Workspace.current().spectra_index("other", "mini_obscure").notes() is None


def test_a_partition_that_fails_does_not_stop_the_others(
    after_run: Path, other_model: Path
) -> None:
    broken = other_model.parent / "broken"
    shutil.copytree(other_model, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    gradpipe("models", "add", str(broken), "--name", "broken")
    gradpipe("models", "add", str(other_model), "--name", "other")

    result = gradpipe("backfill", "--json")
    assert result.exit_code == 1
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["stages"]["gradient_spectra"]["computed"] == 4
    (failed,) = last["failed"]
    assert {"gradient_spectra", "broken", "mini_obscure"} <= set(failed.split())
    assert failed in result.stderr
    assert "Traceback" not in result.output
    page = Path(last["report"]).read_text()
    assert '"other"' in page
    assert '"broken"' not in page


def test_an_unchanged_run_imports_no_torch(after_run: Path) -> None:
    code = (
        "import sys; from gradpipe.cli import main; main(['run'], standalone_mode=False); "
        "print(*sorted({'torch', 'transformers', 'altair'} & set(sys.modules)))"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-1] == ""


def test_extract_writes_the_table_and_names_unusable_rows(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    out = tmp_path / "out.parquet"
    result = gradpipe("extract", str(pairs), "--model", str(small_model), "--out", str(out))
    assert result.exit_code == 0
    assert "row 1 " in result.stderr
    assert "row 0 " not in result.stderr
    table = pl.read_parquet(out)
    assert table["example"].unique().sort().to_list() == [0, 2]
    assert table.height == 2 * 3 * 4
    assert table.columns == [
        "example",
        "span",
        "loss",
        "tokens",
        "response_tokens",
        "truncated",
        "layer",
        "projection",
        "nuclear_norm",
        "spectral_norm",
        "sigma1_ratio",
        "frobenius_norm",
        "effective_rank",
        "next_layer_cosine",
        "q_o_cosine",
        "q_ot_cosine",
        "k_v_cosine",
        "layer_type",
        "token_norms",
        "token_energy",
        "singular_values",
    ]


def test_extract_says_how_many_rows_are_cut_to_the_window(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    data, out = tmp_path / "data.json", tmp_path / "out.parquet"
    data.write_text(json.dumps([{"instruction": "Q " * 1000, "output": "on " * 300}]))
    words = ("--model", str(small_model), "--out", str(out))
    result = gradpipe("extract", str(data), *words)
    assert result.exit_code == 0
    assert pl.read_parquet(out)["truncated"].all()
    lines = [line for line in result.stderr.splitlines() if "window" in line]
    assert [re.findall("[0-9,]+", line) for line in lines] == [["2,048", "1", "1"]]
    assert "window" not in gradpipe("extract", str(pairs), *words).stderr


def test_extract_uses_the_named_projections_and_layers(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    out = tmp_path / "mlp.parquet"
    words = ("extract", str(pairs), "--model", str(small_model), "--out", str(out))
    named = ("--layer-name", "q=self_attn.k_proj", "--layer-name", "k=self_attn.q_proj")
    assert gradpipe(*words, "--projections", "q,gate, up,down", *named).exit_code == 0
    table = pl.read_parquet(out).filter(pl.col("layer") == 0, pl.col("example") == 0)
    assert table["projection"].to_list() == ["q", "gate", "up", "down"]
    # Named as queries, the two key-value heads of eight columns have 16 singular values.
    assert table["singular_values"].list.len()[0] == 16

    refused(gradpipe(*words, "--projections", "q,gat"), "'projections.1'", "'gat'")
    refused(gradpipe(*words, "--layer-name", "attn.wq"), "--layer-name", "q=attn.wq")
    refused(gradpipe(*words, "--layer-name", "w=attn.wq"), "'layer_names.w'")
    missing = gradpipe(*words, "--layer-name", "q=attn.wq")
    refused(missing, "'attn.wq'", "mlp.down_proj")


def test_extract_writes_the_heads_that_are_asked_for(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    out = tmp_path / "heads.parquet"
    words = ("extract", str(pairs), "--model", str(small_model), "--out", str(out))
    assert gradpipe(*words, "--projections", "q,k", "--heads").exit_code == 0
    heads = head_table(pl.read_parquet(out)).filter(layer=0, example=0)
    assert heads["projection"].value_counts().sort("count")["count"].to_list() == [2, 4]
    refused(gradpipe(*words, "--projections", "router"), "router", "`projections`")


def test_extract_knows_the_day_and_think_blocks_of_a_template(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    folder = tmp_path / "dated"
    shutil.copytree(small_model, folder)
    (folder / "chat_template.jinja").write_text(
        "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<think>{% endif %}"
    )

    def losses(*options: str) -> list[float]:
        out = tmp_path / "out.parquet"
        words = ("extract", str(pairs), "--model", str(folder), "--out", str(out))
        assert gradpipe(*words, *options).exit_code == 0
        return pl.read_parquet(out)["loss"].to_list()

    usual = losses()
    assert losses("--template-date", "2024-12-31") == losses("--thinking", "auto") == usual
    assert losses("--template-date", "2025-07-26") != usual
    assert losses("--thinking", "inside") != usual
    words = ("extract", str(pairs), "--model", str(folder), "--out", "out.parquet")
    refused(gradpipe(*words, "--template-date", "today"), "'template_date'", "'today'")
    refused(gradpipe(*words, "--thinking", "outside"), "'thinking'", "'outside'")


def test_extract_gives_the_same_table_for_every_placement_of_the_model(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    tables = []
    for options in (
        (),
        ("--gradient-checkpointing",),
        ("--device-map", "sequential", "--max-memory", "cpu=120KB", "--max-memory", "disk=1GB"),
    ):
        out = tmp_path / f"{len(tables)}.parquet"
        words = ("extract", str(pairs), "--model", str(small_model), "--out", str(out))
        assert gradpipe(*words, *options).exit_code == 0
        tables.append(pl.read_parquet(out))
    assert tables[0].equals(tables[1])
    # Weights that are brought in for each use go by torch's own products, which round differently:
    # by as much as decides which of the last singular values are zero.
    assert_frame_equal(*(table.drop("singular_values") for table in tables[::2]), rel_tol=1e-5)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (("--device-map", "autto"), "'auto'"),
        (("--max-memory", "0=20GiB"), "device_map"),
        (("--device-map", "auto", "--max-memory", "20GiB"), "max_memory"),
    ],
)
def test_extract_refuses_an_invalid_placement(
    options: tuple[str, ...], key: str, tmp_path: Path, pairs: Path
) -> None:
    words = ("extract", str(pairs), "--model", "demo", "--out", str(tmp_path / "out.parquet"))
    refused(gradpipe(*words, *options), key)


def test_extract_fails_if_all_rows_are_unusable(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    out = tmp_path / "out.parquet"
    words = ("extract", str(pairs), "--model", str(small_model), "--out", str(out))
    assert gradpipe(*words, "--offset", "1", "--limit", "1").exit_code == 1


@pytest.mark.parametrize(
    ("content", "word"),
    [("[]", "rows"), ("", "empty"), ('[{"question": "x"}]', "'instruction'"), ("{", "JSON")],
)
def test_extract_refuses_a_file_it_cannot_use(
    content: str, word: str, tmp_path: Path, small_model: Path
) -> None:
    data, out = tmp_path / "data.json", tmp_path / "out.parquet"
    data.write_text(content)
    words = ("extract", str(data), "--model", str(small_model), "--out", str(out))
    refused(gradpipe(*words), word)
    assert not out.exists()


def test_extract_refuses_a_response_longer_than_the_window(
    tmp_path: Path, small_model: Path
) -> None:
    data, out = tmp_path / "data.json", tmp_path / "out.parquet"
    data.write_text(json.dumps([{"instruction": "Go on.", "output": "on " * 3000}]))
    words = ("extract", str(data), "--model", str(small_model), "--out", str(out))
    refused(gradpipe(*words), "2048", "row 0")
    assert not out.exists()
    assert gradpipe(*words, "--protocol", "paper").exit_code == 0


def test_extract_refuses_a_missing_file_model_or_folder(
    tmp_path: Path, small_model: Path, pairs: Path
) -> None:
    out, model = str(tmp_path / "out.parquet"), str(small_model)
    refused(gradpipe("extract", "gone.json", "--model", model, "--out", out), "gone.json")
    refused(gradpipe("extract", str(pairs), "--model", "./gone", "--out", out), "./gone")
    nowhere = str(tmp_path / "gone" / "out.parquet")
    refused(gradpipe("extract", str(pairs), "--model", model, "--out", nowhere), nowhere)
    refused(
        gradpipe("extract", str(pairs), "--model", model, "--out", out, "--protocol", "papr"),
        "'paper'",
    )
    assert list(tmp_path.glob("*.parquet")) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("modles: [demo]\nbenchmarks: [mini_maths]\n", "'models'"),
        ("models: [demo]\nbenchmarks: [mini_math]\n", "'mini_maths'"),
        ("models: [demo]\nbenchmarks: [mini_maths]\nstyles: [length_100]\n", "length_100"),
        ("models: [./gone]\nbenchmarks: [mini_maths]\n", "gone"),
    ],
)
def test_run_refuses_a_study_it_cannot_run_and_writes_nothing(
    text: str, word: str, home: Path, tmp_path: Path
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(text)
    refused(gradpipe("run", "--study", str(study)), word)
    assert not home.exists() or list(home.iterdir()) == []
