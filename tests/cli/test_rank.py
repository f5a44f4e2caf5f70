"""`gradpipe rank` as a user types it: the file it writes, what it prints, what it refuses."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from polars.testing import assert_frame_equal

from gradpipe.benchmarks.table_files import read_table
from gradpipe.cli import main
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.untrusted.compressed import compress

ROWS: list[dict[str, Any]] = [
    {"instruction": "Count", "input": "to two.", "output": "One, two.", "meta": {"tags": ["a"]}},
    {"instruction": "Say nothing.", "input": "", "output": "", "id": 1},
    {"instruction": "Say <b>hello</b>.\nNow.", "input": "", "output": "Hello!", "id": 2},
    {"instruction": "Count", "input": "to two.", "output": "One, two.", "meta": {"tags": ["b"]}},
    {"instruction": "Say a lot.", "output": "There is a lot to say about it, [red] and more."},
]
ADDED = ("score", "rank", "reason")


def gradpipe(*words: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), catch_exceptions=False)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("gradpipe: ")
    for word in words:
        assert word in message


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.json"
    path.write_text(json.dumps(ROWS))
    return path


@pytest.fixture
def spectra(data: Path, small_model: Path) -> Path:
    out = data.with_name("spectra.parquet")
    assert gradpipe("extract", data, "--model", small_model, "--out", out).exit_code == 0
    return out


def test_a_users_file_is_scored_and_ordered_in_one_step(data: Path, small_model: Path) -> None:
    result = gradpipe("rank", data, "--model", small_model)
    assert result.exit_code == 0, result.output
    out = data.with_name("data.ranked.json")
    assert {"4", "effective_rank", "1"} <= set(result.stdout.splitlines()[-1].split())
    found = json.loads(out.read_text())
    own = [{name: row[name] for name in row if name not in ADDED} for row in found]
    assert sorted(map(json.dumps, own)) == sorted(map(json.dumps, ROWS))
    assert [row["rank"] for row in found] == [1, 2, 3, 4, None]
    scores = [row["score"] for row in found[:4]]
    assert scores == sorted(scores, reverse=True)
    assert own[0] == ROWS[4]
    assert own[4] == ROWS[1]
    assert found[4]["score"] is None
    assert found[4]["reason"]
    assert [row["reason"] for row in found[:4]] == [None] * 4
    assert sorted(path.name for path in data.parent.glob("*.json")) == [data.name, out.name]


def test_the_first_rows_are_shown_without_changes(data: Path, spectra: Path) -> None:
    result = gradpipe("rank", data, "--spectra", spectra)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["rank", "score", "row", "instruction", "response"]
    assert len(lines) == 1 + 4 + 1
    assert "There is a lot to say about it, [red] and more." in lines[1]
    assert "Say <b>hello</b>. Now." in result.stdout
    assert lines[1].split()[2] == "4"


def test_existing_spectra_give_the_same_file_without_a_model(
    data: Path, spectra: Path, small_model: Path
) -> None:
    one, other = data.with_name("one.json"), data.with_name("other.json")
    for by in ("effective_rank", "top4_energy"):
        words = ("rank", data, "--by", by, "--overwrite")
        assert gradpipe(*words, "--model", small_model, "--out", one).exit_code == 0
        assert gradpipe(*words, "--spectra", spectra, "--out", other).exit_code == 0
        left, right = (json.loads(path.read_text()) for path in (one, other))
        for a, b in zip(left, right, strict=True):
            assert {**a, "score": 0} == {**b, "score": 0}
            assert a["score"] == (b["score"] and pytest.approx(b["score"], rel=1e-9))


def test_scores_are_means_of_the_tables_statistic(data: Path, spectra: Path) -> None:
    gradpipe("rank", data, "--spectra", spectra, "--by", "nuclear_norm", "--ascending")
    found = json.loads(data.with_name("data.ranked.json").read_text())
    means = dict(
        pl.read_parquet(spectra).group_by("example").agg(pl.col("nuclear_norm").mean()).rows()
    )
    scores = [row["score"] for row in found[:4]]
    assert scores == pytest.approx(sorted(means.values()), rel=1e-12)
    # Two rows with the same texts are two rows, in the order that they had.
    twins = [row for row in found if row["instruction"] == "Count"]
    assert [row["meta"] for row in twins] == [ROWS[0]["meta"], ROWS[3]["meta"]]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv", "parquet"])
def test_every_file_format_is_kept(kind: str, tmp_path: Path, small_model: Path) -> None:
    path = tmp_path / f"my.data.{kind}"
    frame = pl.DataFrame(
        [
            {"id": f"00{n}", **{k: row.get(k) for k in ("instruction", "input", "output")}}
            for n, row in enumerate(ROWS)
        ]
    )
    {
        "jsonl": frame.write_ndjson,
        "csv": frame.write_csv,
        "tsv": lambda to: frame.write_csv(to, separator="\t"),
        "parquet": frame.write_parquet,
    }[kind](path)
    assert gradpipe("rank", path, "--model", small_model).exit_code == 0
    out = tmp_path / f"my.data.ranked.{kind}"
    found = read_table(out)
    assert found.columns == [*frame.columns, *ADDED]
    assert_frame_equal(found.select(frame.columns).sort("id"), frame)
    assert found["id"][0] == "004"
    assert found["rank"].cast(pl.String).to_list() == ["1", "2", "3", "4", None]


@pytest.mark.parametrize(("top", "kept"), [("2", 2), ("0.5", 2), ("50%", 2), ("1.0", 4), ("9", 4)])
def test_the_first_rows_or_a_share_of_them_are_kept(
    top: str, kept: int, data: Path, spectra: Path
) -> None:
    result = gradpipe("rank", data, "--spectra", spectra, "--top", top)
    assert result.stdout.splitlines()[-1].split()[0] == f"{kept}"
    found = json.loads(data.with_name("data.ranked.json").read_text())
    assert [row["rank"] for row in found] == list(range(1, kept + 1))


def test_an_existing_file_is_replaced_only_with_overwrite(data: Path, spectra: Path) -> None:
    out = data.with_name("data.ranked.json")
    out.write_text("mine")
    words = ("rank", data, "--spectra", spectra)
    refused(gradpipe(*words), "data.ranked.json", "--overwrite")
    refused(gradpipe(*words, "--out", data), "data.json", "another --out")
    assert out.read_text() == "mine"
    assert gradpipe(*words, "--overwrite").exit_code == 0
    assert len(json.loads(out.read_text())) == len(ROWS)
    assert not list(data.parent.glob("*.tmp"))


def test_columns_of_the_same_name_are_never_replaced(data: Path, spectra: Path) -> None:
    gradpipe("rank", data, "--spectra", spectra)
    out = data.with_name("data.ranked.json")
    text = out.read_text()
    again = ("rank", out, "--model", "demo")
    refused(gradpipe(*again), "'score'", "--prefix")

    data.write_text(json.dumps([{**row, "score": 7} for row in ROWS]))
    words = ("rank", data, "--spectra", spectra, "--overwrite")
    assert gradpipe(*words, "--prefix", "gradient_").exit_code == 0
    found = json.loads(out.read_text())
    assert {row["score"] for row in found} == {7}
    assert [row["gradient_rank"] for row in found] == [row["rank"] for row in json.loads(text)]


def test_spectra_of_other_rows_are_refused(data: Path, spectra: Path, small_model: Path) -> None:
    words = ("rank", data, "--spectra", spectra)
    data.write_text(json.dumps(ROWS[:4]))
    refused(gradpipe(*words), "spectra.parquet", "5 rows, 0 to 4", "data.json", "--spectra")
    data.write_text(json.dumps(ROWS[::-1]))
    refused(gradpipe(*words), "spectra.parquet", "data.json", "--spectra")
    data.write_text(json.dumps(ROWS))
    part = data.with_name("part.parquet")
    gradpipe("extract", data, "--model", small_model, "--out", part, "--offset", "3")
    refused(gradpipe("rank", data, "--spectra", part), "part.parquet", "2 rows, 3 to 4")
    pl.read_parquet(part).clear().write_parquet(part)
    refused(gradpipe("rank", data, "--spectra", part), "part.parquet", "data.json")
    assert not data.with_name("data.ranked.json").exists()


def test_invalid_input_is_refused_before_a_model_is_loaded(data: Path) -> None:
    words = ("rank", data, "--model", "no/such-model")
    refused(gradpipe(*words, "--by", "efective_rank"), "'effective_rank'")
    refused(gradpipe(*words, "--top", "0"), "--top", "'0'")
    refused(gradpipe(*words, "--top", "150%"), "--top", "'150%'")
    refused(gradpipe(*words, "--out", data.with_name("out.csv")), "out.csv", ".json")
    refused(gradpipe(*words, "--out", data.parent / "no" / "out.json"), "out.json")
    refused(gradpipe("rank", data.with_name("datta.json"), "--model", "demo"), "'data.json'")
    data.write_text(json.dumps([{"question": "x", "output": "y"}]))
    refused(gradpipe(*words), "'instruction'")


def test_other_columns_are_found_or_named_and_rank_the_same(
    data: Path, spectra: Path, small_model: Path
) -> None:
    pairs = [(f"{row['instruction']}\n{row.get('input') or ''}".strip(), row) for row in ROWS]
    data.write_text(json.dumps([{"question": q, "answer": row["output"]} for q, row in pairs]))
    result = gradpipe("rank", data, "--spectra", spectra, "--top", "2")
    assert result.exit_code == 0, result.output
    assert "`question` and `answer`" in result.stderr
    found = json.loads(data.with_name("data.ranked.json").read_text())
    assert found[0]["answer"] == ROWS[4]["output"]

    data.write_text(json.dumps([{"q": q, "a": row["output"], "b": "x"} for q, row in pairs]))
    words = ("rank", data, "--spectra", spectra, "--top", "2", "--overwrite", "--columns")
    refused(gradpipe(*words, "question=q"), "'answer'", "'q'", "--columns")
    refused(gradpipe(*words, "question=q,answer=b"), "spectra.parquet", "data.json")
    refused(gradpipe(*words, "question"), "--columns 'question'", "ROLE=COLUMN")
    assert gradpipe(*words, "question=q, answer=a").exit_code == 0
    again = json.loads(data.with_name("data.ranked.json").read_text())
    assert [row["score"] for row in again] == [row["score"] for row in found]


def test_a_row_of_messages_without_a_response_is_unusable_with_its_reason(
    data: Path, small_model: Path
) -> None:
    question = {"role": "user", "content": "Count to two."}
    rows = [{"prompt": "Count to two.", "completion": "One, two."}] * 2
    data.write_text(json.dumps([*rows, {"prompt": [question], "completion": "One."}]))
    result = gradpipe("rank", data, "--model", small_model)
    assert result.exit_code == 0, result.output
    found = json.loads(data.with_name("data.ranked.json").read_text())
    assert [row["rank"] for row in found] == [1, 2, None]
    assert "`prompt`" in found[2]["reason"]


def test_gradients_come_from_a_model_or_from_a_table_not_both(data: Path, spectra: Path) -> None:
    refused(gradpipe("rank", data), "--model", "--spectra")
    words = ("rank", data, "--spectra", spectra)
    refused(gradpipe(*words, "--model", "demo"), "--spectra", "--model")
    refused(gradpipe(*words, "--no-chat"), "--spectra", "--chat")
    refused(gradpipe(*words, "--protocol", "standard"), "--spectra", "--protocol")
    refused(gradpipe(*words, "--layer-name", "q=wq"), "--spectra", "--layer-name")
    refused(gradpipe("rank", data, "--spectra", data), "data.json", "`gradpipe extract`")


def test_rows_that_are_all_unusable_are_written_with_their_reasons_and_fail(
    data: Path, small_model: Path
) -> None:
    data.write_text(json.dumps(ROWS[1:2]))
    result = gradpipe("rank", data, "--model", small_model)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split()[0] == "0"
    (row,) = json.loads(data.with_name("data.ranked.json").read_text())
    assert row.pop("reason")
    assert row == {**ROWS[1], "score": None, "rank": None}


def test_a_target_set_more_scores_and_a_diverse_choice_are_options(
    data: Path, spectra: Path, small_model: Path
) -> None:
    target = data.with_name("target.json")
    target.write_text(json.dumps(ROWS[2:3]))
    words = ("rank", data, "--model", small_model, "--overwrite")
    result = gradpipe(*words, "--target", target, "--with", "loss, ifd")
    assert result.exit_code == 0, result.output
    assert "1 of 5 rows" in result.stderr
    header = result.stdout.splitlines()[0].split()
    assert header[:3] == ["rank", "score", "loss"]
    found = json.loads(data.with_name("data.ranked.json").read_text())
    added = ["loss", "ifd", "target_cosine", "target_cosine_max"]
    assert list(found[0])[-len(added) :] == added
    assert found[0]["id"] == 2
    assert found[0]["target_cosine"] == pytest.approx(1, abs=1e-3)

    result = gradpipe(*words, "--diverse", "--top", "3")
    assert result.stdout.splitlines()[-1].startswith("3 rows chosen")
    found = json.loads(data.with_name("data.ranked.json").read_text())
    assert [row["diverse_rank"] for row in found] == [1, 2, 3]
    # The two rows of equal texts are never both chosen.
    assert sum(row["instruction"] == "Count" for row in found) == 1

    existing = ("rank", data, "--spectra", spectra, "--overwrite")
    refused(gradpipe(*existing, "--diverse"), "--diverse", "--model")
    refused(gradpipe(*words, "--with", "los"), "'loss'")
    refused(gradpipe(*words, "--sort", "loss"), "'loss'", "score")
    refused(gradpipe(*words, "--diverse", "--sort", "score"), "--diverse", "--sort")
    refused(gradpipe(*words, "--target", data.with_name("no.json")), "no.json")


@pytest.mark.parametrize(
    ("words", "option"),
    [(("--engine", "ray"), "--engine"), (("--ray", "nonsense=1"), "--ray")],
)
def test_an_engine_has_no_effect_on_a_finished_table(
    words: tuple[str, ...], option: str, data: Path, spectra: Path
) -> None:
    result = gradpipe("rank", data, "--spectra", spectra, "--overwrite", *words)
    refused(result, f"{option} has no effect", "--spectra")


def test_help_names_every_statistic() -> None:
    text = gradpipe("rank", "--help").stdout
    for name in REDUCTIONS:
        assert name in text


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst"])
def test_a_compressed_file_is_ranked_into_a_compressed_file(
    ending: str, tmp_path: Path, spectra: Path
) -> None:
    packed = tmp_path / f"rows{ending}"
    packed.write_bytes(compress("\n".join(map(json.dumps, ROWS)).encode(), packed.suffix))
    assert gradpipe("rank", packed, "--spectra", spectra).exit_code == 0
    assert read_table(tmp_path / f"rows.ranked{ending}").height == len(ROWS)
    plain = tmp_path / "plain.jsonl"
    assert gradpipe("rank", packed, "--spectra", spectra, "--out", plain).exit_code == 0
    assert plain.read_text().count("\n") == len(ROWS)
    refused(gradpipe("rank", packed, "--spectra", spectra, "--out", tmp_path / "a.csv"), ".jsonl")


def test_shards_are_ranked_into_one_file_beside_them(
    tmp_path: Path, spectra: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        (shards / f"{number}.json").write_text(json.dumps({"data": rows}))
    out = tmp_path / "shards.ranked.json"
    monkeypatch.chdir(shards)
    for data in (shards, f"{shards}/*.json", ".", "*.json"):
        assert gradpipe("rank", data, "--spectra", spectra).exit_code == 0
        assert len(json.loads(out.read_text())["data"]) == len(ROWS)
        out.unlink()
    assert len(list(shards.iterdir())) == 2
    assert sorted(path.name for path in shards.iterdir()) == ["0.json", "1.json"]


def test_a_saved_data_set_is_ranked_into_an_arrow_file(tmp_path: Path, spectra: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{name: row.get(name) for name in ("instruction", "input", "output")} for row in ROWS]
    saved = datasets.Dataset.from_list(rows)
    saved.save_to_disk(tmp_path / "saved", num_shards=2)
    assert gradpipe("rank", tmp_path / "saved", "--spectra", spectra).exit_code == 0
    ranked = datasets.Dataset.from_file(str(tmp_path / "saved.ranked.arrow"))
    assert {name: ranked.features[name] for name in saved.features} == saved.features
    assert ranked["rank"][:] == [1, 2, 3, 4, None]
    out = tmp_path / "a.json"
    result = gradpipe("rank", tmp_path / "saved", "--spectra", spectra, "--out", out)
    refused(result, ".arrow")
