"""LaTeX tables: they compile, they hold what the page holds, and data cannot break them."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.latex import MOST_LINES_ON_A_PAGE, PRINTED, latex, printed, write_latex
from gradpipe.report.tables.table import ReportTable
from gradpipe.report.tables.write import all_tables, write_tables
from tests.report.made_up_series import steps_of_runs, trends_of

HOSTILE = "*a_b%c&d$e#f{g}h~i^j\\k|l--m<n>o[p]q\"r''?`"
#: What stands for a character in LaTeX, longest first, and the character.
READ = {
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textbackslash{}": "\\",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\ensuremath{\sigma}": "σ",
    r"\ensuremath{\times}": "×",
    r"\ensuremath{\geq}": "≥",
    r"\ensuremath{-}": "-",
    r"\ensuremath{_{1}}": "₁",
    r"-{}-": "--",
    r"\,": "\u202f",
    **{rf"\{sign}": sign for sign in "_%&$#{}"},
    "--": "–",
    "{}": "",
}


def table_of(*names: str, values: tuple[float, ...] = (1.0,), repeats: int = 1) -> ReportTable:
    frame = pl.DataFrame(
        [(f"section {i}", name, *values) for i in range(repeats) for name in names],
        schema=["model", "style", *(f"v{i}" for i in range(len(values)))],
        orient="row",
    )
    return ReportTable("made_up", "Made up", frame, heads=2, sections=1)


def lines_of(tex: str) -> list[list[str]]:
    """The rows between the last headings and the bottom rule, as LaTeX cells."""
    body = tex.split(r"\endhead" if r"\endhead" in tex else "\\midrule\\addlinespace[2.5pt]\n", 1)
    body = body[1].split(r"\bottomrule")[0].replace(r"\midrule\addlinespace[2.5pt]", "")
    lines = [line.strip() for line in re.split(r"\\\\(?:\[2\.5pt\])?[ ]*\n", body)]
    return [re.split(r"(?<!\\)&", line) for line in lines if line]


def read(cell: str) -> str:
    """The text that a cell of LaTeX shows; no other character may have a meaning in LaTeX."""
    shown = ""
    for part in re.split(f"({'|'.join(map(re.escape, READ))})", cell.strip()):
        assert part in READ or not set(part) & set("\\{}_%&$#~^|<>σ₁×≥−"), cell
        shown += READ.get(part, part)
    return shown


def check(tex: str) -> None:
    """Braces and environments close, and all rows have as many columns as the table."""
    bare = re.sub(r"\\[\\{}%&$#_]", "", tex)
    depth = 0
    for sign in bare:
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", tex):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    start = r"\\begin\{(?:tabular\*\}\{\\linewidth|longtable)\}\{(?:@\{.*?\}\})?(.*)\}\n"
    columns = re.search(start, tex)
    assert columns is not None
    width = len(re.sub(r"p\{[^}]*\}", "l", columns[1]).replace("|", ""))
    for cells in lines_of(tex):
        spans = [re.match(r"\s*\\multicolumn\{(\d+)\}", cell) for cell in cells]
        assert sum(int(span[1]) if span else 1 for span in spans) == width, cells


@pytest.fixture(scope="module")
def hostile(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    """Models and a benchmark with names that are invalid LaTeX."""
    models = (f"{HOSTILE}-base", HOSTILE, "σ₁ × ≥ é")
    inputs = make_inputs(models=models, benchmarks={HOSTILE: "math", "plain": "knowledge"})
    return replace(inputs, **trends_of(steps_of_runs(4, (HOSTILE,))))


def test_every_table_of_a_paper_is_well_formed_whatever_names_are_in_it(
    hostile: ReportInputs, tmp_path: Path
) -> None:
    paths = write_latex(all_tables(hostile), tmp_path)
    assert [path.stem for path in paths] == list(PRINTED)
    for path in paths:
        tex = path.read_text()
        check(tex)
        assert f"\\label{{tab:{path.stem}}}" in tex
        assert re.search(r"\\caption\{[^\n]+\.\}", tex)
        assert not re.search(r"nan|null|None", tex)


def test_the_tables_compile(hostile: ReportInputs, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not there")
    paths = write_latex(all_tables(hostile), tmp_path)
    document = tmp_path / "all.tex"
    document.write_text(
        "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n"
        + "".join(f"\\input{{{path.name}}}\\clearpage\n" for path in paths)
        + "\\end{document}\n"
    )
    command = ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", document]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@given(st.text(st.sampled_from(sorted(set(HOSTILE + "σ₁×≥é "))), min_size=1).map(str.strip))
@example(HOSTILE)
@example("[1]")
@example("1e-05")
@example("---|")
@example("* 2")
@example("\\end{table}")
def test_a_name_is_shown_as_it_is(name: str) -> None:
    tex = latex(table_of(name or "x", "other"))
    check(tex)
    assert read(lines_of(tex)[1][0]) == (name or "x")


@pytest.mark.parametrize("signs", ["--", "---", "''", "``", ",,", "?`", "!`"])
def test_signs_that_pdflatex_joins_are_kept_apart(signs: str) -> None:
    tex = lines_of(latex(table_of(f"a{signs}b")))[1][0]
    assert signs not in tex
    assert read(tex) == f"a{signs}b"


def test_what_follows_the_end_of_a_row_is_not_part_of_it() -> None:
    """LaTeX takes a star or a bracket after ``\\\\`` as its argument, even on a new line."""
    for name in ("[1]", "*"):
        (row,) = lines_of(latex(table_of(name)))[1:]
        assert not row[0].startswith(name)
        assert read(row[0]) == name


def test_leading_cells_that_repeat_are_blank_except_the_last() -> None:
    frame = pl.DataFrame(
        [("m", *cells, 1.0) for cells in (("a", "x"), ("a", "x"), ("a", "y"), ("b", "y"))],
        schema=["model", "style", "relevance", "v0"],
        orient="row",
    )
    table = ReportTable("made_up", "Made up", frame, heads=3, sections=1)
    shown = [[cell.strip() for cell in line[:2]] for line in lines_of(latex(table))[1:]]
    assert shown == [["a", "x"], ["", "x"], ["", "y"], ["b", "y"]]


def test_control_characters_become_blanks() -> None:
    assert read(lines_of(latex(table_of("a\nb\t\x00c")))[1][0]) == "a b c"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.482, "1.48"),
        (-0.25, r"\ensuremath{-}0.250"),
        (0.0000123, r"1.23\ensuremath{\times}10\ensuremath{^{-}}\ensuremath{^{5}}"),
        (12345678.0, r"1.23\ensuremath{\times}10\ensuremath{^{7}}"),
        (float("nan"), "--"),
    ],
)
def test_numbers_have_three_digits_and_are_set_as_numbers(value: float, shown: str) -> None:
    assert lines_of(latex(table_of("x", values=(value,))))[1][-1].strip() == shown


def test_counts_have_their_thousands_apart() -> None:
    table = table_of("x")
    tex = latex(replace(table, frame=table.frame.with_columns(v0=pl.lit(12345))))
    assert lines_of(tex)[1][-1].strip() == r"12\,345"


def test_a_table_holds_what_the_page_holds(inputs: ReportInputs, tmp_path: Path) -> None:
    tables = all_tables(inputs)
    write_latex(tables, tmp_path)
    lines = lines_of((tmp_path / "mad.tex").read_text())
    numbers = [[read(cell) for cell in line[-4:]] for line in lines if len(line) > 1]
    assert numbers == [row[-4:] for row in tables["mad"].cells("nuclear_norm")]


def test_a_row_stands_in_the_section_of_its_model_and_benchmark(inputs: ReportInputs) -> None:
    mad = all_tables(inputs)["mad"]
    section, shown = "", []
    for line in lines_of(latex(printed(mad))):
        if len(line) == 1:
            section = read(line[0].partition("{l}{")[2][:-1])
        else:
            shown.append(section)
    assert shown == [", ".join(row[:2]) for row in mad.cells("nuclear_norm")]


def test_a_short_table_floats_and_a_long_one_repeats_its_headings_on_each_page() -> None:
    short, long = latex(table_of("x")), latex(table_of("x", repeats=MOST_LINES_ON_A_PAGE))
    assert "\\begin{table}" in short
    assert "longtable}{" not in short
    assert "\\begin{longtable}" in long
    first, rest = long.split("\\endfirsthead")
    assert first.split("\\toprule")[1] == rest.split("\\endhead")[0].split("\\toprule")[1]
    check(long)


def test_groups_of_columns_have_a_heading_over_them(inputs: ReportInputs, tmp_path: Path) -> None:
    write_latex(all_tables(inputs), tmp_path)
    tex = (tmp_path / "mad_segments.tex").read_text()
    for label in ("early layers", "middle layers", "last layers"):
        assert f"\\multicolumn{{4}}{{c}}{{{label}}}" in tex


def test_tables_without_rows_are_written_as_csv_only(
    empty_inputs: ReportInputs, tmp_path: Path
) -> None:
    paths = write_tables(empty_inputs, tmp_path)
    assert [path.name for path in paths if path.suffix == ".tex"] == ["rows.tex"]
    assert sorted(paths) == sorted(tmp_path.iterdir())
