"""An output never replaces what its command reads."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gradpipe.cli import main
from gradpipe.errors import DataError
from gradpipe.standalone.input_files import refuse_inputs


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shards[1]"
    folder.mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("{}\n")
    (tmp_path / "link.jsonl").symlink_to(folder / "a.jsonl")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("out", "source"),
    [
        ("shards[1]/a.jsonl", "shards[1]/a.jsonl"),
        ("shards[1]/../shards[1]/a.jsonl", "./shards[1]/a.jsonl"),
        ("link.jsonl", "shards[1]/a.jsonl"),
        ("shards[1]/b.jsonl", "shards[1]"),
        ("shards[1]/b.jsonl", "shards?1?/*.jsonl"),
    ],
)
@pytest.mark.usefixtures("data")
def test_an_output_is_none_of_the_inputs(out: str, source: str) -> None:
    with pytest.raises(DataError, match="give another --out"):
        refuse_inputs(Path(out), [None, source])


@pytest.mark.usefixtures("data")
def test_a_folder_of_an_input_is_not_written_to() -> None:
    with pytest.raises(DataError, match=r"holds a\.jsonl, which this command reads"):
        refuse_inputs(Path("shards[1]"), ["shards[1]/a.jsonl"], folder=True)


def test_the_scheme_of_a_local_file_makes_no_difference(data: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl is read"):
        refuse_inputs(data / "a.jsonl", [f"file://{data}/a.jsonl"])


@pytest.mark.usefixtures("data")
def test_other_outputs_are_not_refused() -> None:
    sources: list[str | Path] = [
        "shards[1]/a.jsonl",
        "gone.jsonl",
        "s3://bucket/*.jsonl",
        Path("shards[1]"),
    ]
    for out in ("new.jsonl", "shards[1]/c.jsonl", "."):
        refuse_inputs(Path(out), sources, folder=out == ".")


@pytest.mark.parametrize(
    "words",
    [
        "extract d.csv --model demo --out d.csv",
        "extract d.csv --model demo --out ../{folder}/d.csv",
        "rank d.csv --model demo --out d.csv --overwrite",
        "rank d.csv --model demo --target t.csv --out t.csv --overwrite",
        "rank d.csv --spectra s.csv --out s.csv --overwrite",
        "correlate d.csv --spectra s.parquet --column a --out d.csv --overwrite",
        "correlate d.csv --spectra s.parquet --column a --out s.parquet --overwrite",
        "merge s.parquet u.parquet --out u.parquet --overwrite",
        "compare s.parquet u.parquet --out s.parquet",
        "compare s.parquet u.parquet --csv ./u.parquet --json",
    ],
)
def test_no_command_replaces_what_it_reads(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("d.csv", "t.csv", "s.csv", "s.parquet", "u.parquet"):
        (tmp_path / name).write_text("instruction,output\nq,a\n")
    given = words.format(folder=tmp_path.name).split()
    result = CliRunner().invoke(main, given, catch_exceptions=False)
    assert result.exit_code == 2
    assert "read by this command" in result.stderr
    assert {file.read_text() for file in tmp_path.iterdir()} == {"instruction,output\nq,a\n"}
