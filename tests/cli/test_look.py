"""``gradpipe look`` in a terminal: the format, the rows with marked loss, the faults."""

import json
from pathlib import Path

from click.testing import CliRunner

from gradpipe.cli import main


def test_a_file_is_shown_with_its_loss_in_brackets(small_model: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": "2 + 2 =", "completion": " 4"},
        {"prompt": "Red:", "completion": "\x1b[31m" + 2000 * "o"},
        {"prompt": "3 + 3 =", "completion": None},
    ]
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = CliRunner().invoke(main, ["look", str(file), "--model", str(small_model)])
    assert shown.exit_code == 0
    first, format_line = shown.output, shown.output.splitlines()[0]
    assert "3 rows" in format_line
    assert "`prompt` and `completion`" in format_line
    assert "2 + 2 =⟦ 4⟧" in first
    # What would steer a terminal is shown, and long texts are cut.
    assert "\x1b" not in first
    assert "\\x1b[31m" in first
    assert max(map(len, first.splitlines())) < 1000
    assert "cannot be used: 1" in first
    assert "(first: row 2)" in first


def test_a_file_without_a_usable_row_fails(small_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps({"instruction": "2 + 2?", "output": ""}) + "\n")
    shown = CliRunner().invoke(main, ["look", str(file), "--model", str(small_model)])
    assert shown.exit_code == 1
    assert "response is empty" in shown.output


def test_settings_of_the_tokens_are_those_of_extract(small_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps({"instruction": "2 + 2?", "output": "4"}) + "\n")
    template = tmp_path / "own.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}{{ end }}{% endfor %}")
    options = ["--protocol", "training", "--chat-template", str(template)]
    options += ["--chat-template-kwargs", '{"end": "."}', "--loss-on", "all"]
    shown = CliRunner().invoke(main, ["look", str(file), "--model", str(small_model), *options])
    assert shown.exit_code == 0
    assert "u⟦ser: 2 + 2?.assistant: 4.⟧" in shown.output
    for option, value in (("--loss-on", "first"), ("--chat-template-kwargs", "end")):
        refused = CliRunner().invoke(
            main, ["look", str(file), "--model", str(small_model), option, value]
        )
        assert refused.exit_code != 0
        assert option.removeprefix("--").replace("-", "_") in refused.output.replace("-", "_")
