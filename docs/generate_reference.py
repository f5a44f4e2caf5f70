"""Generate the reference pages from the code, as MkDocs builds the site."""

import json
from collections.abc import Iterator
from inspect import getsource
from typing import Any

import click
import mkdocs_gen_files


def write(page: str, lines: Iterator[str]) -> None:
    """Write one page of the reference."""
    with mkdocs_gen_files.open(f"reference/{page}", "w") as file:
        file.write("\n".join(lines) + "\n")


def command_line() -> Iterator[str]:
    """Every command with its help text."""
    from gradpipe.cli import main

    yield "# Command line\n"
    yield from help_of(main, "gradpipe", 2)


def help_of(command: click.Command, name: str, level: int) -> Iterator[str]:
    """The help text of a command and of its subcommands."""
    context = click.Context(
        command, info_name=name, terminal_width=80, help_option_names=["-h", "--help"]
    )
    yield f"{'#' * level} {name}\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            yield from help_of(command.commands[child], f"{name} {child}", level + (level < 3))


def study() -> Iterator[str]:
    """Every setting of a study, with type, default, bounds and meaning."""
    from gradpipe.studies.study import Study

    schema = Study.model_json_schema()
    yield "# Study settings\n"
    yield "A study is one YAML file; `gradpipe init` writes one with comments. Unknown keys are"
    yield "refused with the nearest known one, and `gradpipe check --study FILE` lists all mistakes"
    yield "with their lines. Editors read a [JSON schema](../study.schema.json) of this page: see"
    yield "[Completion in an editor](../how-to/own-data.md#completion-in-an-editor).\n"
    yield from settings_table(schema)
    for name, definition in schema["$defs"].items():
        if "properties" in definition:
            parent = schema["$defs"]["ModelConfig"] if name == "SeriesConfig" else {}
            yield f"## {section(name)}\n"
            yield from settings_table(own_properties(definition, parent))


def own_properties(definition: dict[str, Any], parent: dict[str, Any]) -> dict[str, Any]:
    """A schema without the properties that it shares with another one."""
    own = {
        k: v for k, v in definition["properties"].items() if k not in parent.get("properties", ())
    }
    return {**definition, "properties": own}


def settings_table(schema: dict[str, Any]) -> Iterator[str]:
    """The properties of one object as a table."""
    if text := schema.get("description"):
        yield text.replace("``", "`") + "\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, value in schema["properties"].items():
        default = code(value.get("default")) if "$ref" not in value else "see there"
        default = "required" if key in schema.get("required", ()) else default
        meaning = value["description"].replace("``", "`")
        yield f"| `{key}` | {kind(value)} | {default} | {escape(meaning)} |"
    yield ""


def kind(value: dict[str, Any]) -> str:
    """A property's type and bounds, in the words of a YAML user."""
    match value:
        case {"anyOf": parts} | {"oneOf": parts}:
            return " or ".join(kind(part) for part in parts)
        case {"$ref": reference}:
            heading = section(reference.rpartition("/")[2])
            return f"[{heading}](#{heading})"
        case {"enum": options}:
            return " or ".join(code(option) for option in options)
        case {"const": constant}:
            return code(constant)
        case {"type": "array"}:
            return f"list of {kind(value.get('items', {}))}"
        case _:
            limits = [f"{sign} {value[name]:,}" for name, sign in BOUNDS.items() if name in value]
            return " ".join([TYPES.get(value.get("type", ""), "any value"), *limits])


TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "yes or no",
    "object": "mapping",
    "null": "nothing",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
#: The study's key for the settings of a class, if it differs from the class's name.
SECTIONS = {
    "ModelConfig": "models",
    "SeriesConfig": "series",
    "BenchmarkConfig": "benchmarks",
    "ColumnNames": "columns",
    "WikipediaPages": "wikipedia",
    "LayerNames": "layer_names",
    "GeneratorConfig": "generator",
    "JudgeConfig": "judge",
    "RayConfig": "ray",
    "TokenPrice": "price",
    "WorkedExample": "few_shot",
}


def section(name: str) -> str:
    """The heading, and so the anchor, of a class of settings."""
    return SECTIONS.get(name, name.lower())


def code(value: object) -> str:
    """A value as YAML source."""
    return f"`{json.dumps(value, ensure_ascii=False)}`" if value is not None else ""


def escape(text: str) -> str:
    """Text inside a table's cell."""
    return text.replace("|", "\\|")


def statistics() -> Iterator[str]:
    """Every statistic with its definition: the comments beside the expressions."""
    from gradpipe.statistics import reductions

    yield "# Statistics\n"
    yield "Each is a number per (example, layer, projection), computed from the singular values σ"
    yield "of one gradient G. They are defined in `gradpipe/statistics/reductions.py`.\n"
    yield "| statistic | definition |"
    yield "|---|---|"
    definition: list[str] = []
    for line in getsource(reductions).partition("REDUCTIONS: dict")[2].splitlines():
        text = line.strip()
        if text.startswith("#:"):
            definition.append(text.removeprefix("#:").strip())
        elif text.startswith('"'):
            name = text.split('"')[1]
            yield f"| `{name}` | {escape(' '.join(definition)) or '(as above)'} |"
            definition = []
        elif text == "}":
            break


def claims() -> Iterator[str]:
    """The paper's claims as they are judged, and how to state one's own."""
    from gradpipe.claims.paper import PAPER_CLAIMS
    from gradpipe.claims.parse import CLAIM_GRAMMAR
    from gradpipe.claims.quality.claims import ALL_SEQUEL_CLAIMS

    yield "# Claims\n"
    yield "## The paper's\n"
    yield "| claim | statement | source |"
    yield "|---|---|---|"
    for claim in PAPER_CLAIMS:
        yield f"| {claim.claim} | {escape(claim.statement)} | {escape(claim.source)} |"
    yield "\n## The sequel's, on data of high and low quality\n"
    yield "| claim | statement | source |"
    yield "|---|---|---|"
    for claim in ALL_SEQUEL_CLAIMS:
        yield f"| {claim.claim} | {escape(claim.statement)} | {escape(claim.source)} |"
    yield "\n## Your own\n"
    yield "A line under `claims` in a study:\n"
    yield f"```text\n{CLAIM_GRAMMAR}\n```\n"
    yield "```yaml\nclaims:\n  - none > detailed on effective_rank"
    yield "  - detailed irrelevant > detailed on mad of nuclear_norm in early layers\n```"


def checks() -> Iterator[str]:
    """The asset checks, and the consequence of a failure."""
    from assets.stages import STAGES

    yield "# Checks\n"
    yield "| check | of | passes if | when it fails |"
    yield "|---|---|---|---|"
    for stage in STAGES:
        for spec in stage.asset.check_specs:
            kept = "the partition is not kept" if spec.blocking else "a warning"
            asset = spec.asset_key.path[-1]
            yield f"| `{spec.name}` | `{asset}` | {escape(spec.description or '')} | {kept} |"
    yield "\nA partition that is not kept reaches neither statistics nor report, whichever way it"
    yield "was started."


def api() -> Iterator[str]:
    """The public functions, from their docstrings."""
    import gradpipe

    yield "# Public API\n"
    yield "```python\nimport gradpipe as gp\n```\n"
    yield "Names are imported at their first use: `import gradpipe` costs nothing. Every example on"
    yield "this page runs as a test; there `model` and `tokenizer` are a tiny random model and its"
    yield "tokenizer, `model_folder` a folder with both, and `pl` is Polars.\n"
    for name, module in gradpipe.PUBLIC.items():
        yield f"::: {module}.{name}\n"
    yield "## Results of a workspace\n"
    yield "::: storage.workspace_view.WorkspaceView"
    yield "    options:\n      heading: Workspace\n      toc_label: Workspace"
    yield "      members_order: source\n"
    yield "## Charts\n"
    yield "One function per kind of chart that a report has: "
    links = [f"[`{name}`](#{anchor(name)})" for name in gradpipe.charts.__all__]
    yield f"{', '.join(links)}.\n"
    yield "`Workspace.chart` draws each by its name from the results of a workspace, but for"
    yield "`comparison`, which is about two. Each takes a table that another"
    yield "function returned and gives back an Altair chart with its data: a notebook shows it, and"
    yield '`chart.save("curves.svg")` writes it. They need the extra `report`:'
    yield '`pip install "gradpipe[report]"`.\n'
    for name in gradpipe.charts.__all__:
        yield f"::: {anchor(name)}"
        yield f"    options:\n      heading: charts.{name}\n      toc_label: charts.{name}\n"


def anchor(chart: str) -> str:
    """The full name of a chart's function, which is its anchor on the page."""
    import gradpipe

    return f"{getattr(gradpipe.charts, chart).__module__}.{chart}"


def study_schema_file() -> None:
    """Publish the JSON schema of studies beside the pages."""
    from gradpipe.studies.schema import study_schema

    with mkdocs_gen_files.open("study.schema.json", "w") as file:
        json.dump(study_schema(), file, indent=2, ensure_ascii=False, default=str)


study_schema_file()
for page, content in {
    "command-line.md": command_line,
    "study.md": study,
    "statistics.md": statistics,
    "claims.md": claims,
    "checks.md": checks,
    "api.md": api,
}.items():
    write(page, content())
