"""A study as a component of somebody else's `dg` project."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.core.package_entry import discover_entry_point_package_objects
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

import gradpipe
from gradpipe.dagster import Study
from gradpipe.errors import StudyError

STUDY = {"name": "mine", "models": ["demo"], "benchmarks": ["mini_maths"]}


@pytest.fixture
def project() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as sandbox:
        yield sandbox


def keys(project: DefsFolderSandbox) -> set[str]:
    """The keys of all assets of the project."""
    with project.build_all_defs() as defs:
        graph = defs.resolve_asset_graph()
        return {key.to_user_string() for key in graph.get_all_asset_keys()}


def add(project: DefsFolderSandbox, name: str, **attributes: Any) -> Path:
    """Write a component of the type that the documentation names."""
    folder = project.defs_folder_path / name
    folder.mkdir()
    content = {"type": "gradpipe.dagster.Study", "attributes": attributes}
    (folder / "defs.yaml").write_text(json.dumps(content))
    return folder


def test_the_component_has_a_short_name_too() -> None:
    assert gradpipe.Study is Study


def test_an_environment_with_gradpipe_lists_the_component() -> None:
    found = discover_entry_point_package_objects()
    ours = [key.to_typename() for key, value in found.items() if value is Study]
    assert ours == ["gradpipe.dagster.Study"]


def test_a_scaffolded_component_is_a_small_study_that_loads(project: DefsFolderSandbox) -> None:
    file = project.scaffold_component(Study, "my_study") / "defs.yaml"
    assert yaml.safe_load(file.read_text())["attributes"]["study"]["name"] == "my_study"
    assert "my_study/report" in keys(project)


def test_components_are_studies_side_by_side(project: DefsFolderSandbox) -> None:
    add(project, "one", study=STUDY)
    add(project, "two", study={**STUDY, "name": "other"}, key_prefix=["a", "b"])
    found = keys(project)
    assert {"mine/gradient_spectra", "a/b/gradient_spectra"} <= found
    assert len(found) == 10


def test_a_study_file_lies_beside_its_component(project: DefsFolderSandbox) -> None:
    folder = add(project, "one", study="mine.yaml", owners=["team:ml"], tags={"kind": "test"})
    data = {"name": "own", "source": "files", "path": "pairs.jsonl", "family": "math"}
    (folder / "mine.yaml").write_text(json.dumps({**STUDY, "benchmarks": [data]}))
    with project.load_component_and_build_defs(folder) as (component, defs):
        assert isinstance(component, Study)
        node = defs.resolve_asset_graph().get(dg.AssetKey(["mine", "report"]))
    assert list(node.owners) == ["team:ml"]
    assert node.tags["kind"] == "test"


def test_a_mistake_in_the_study_is_named(project: DefsFolderSandbox) -> None:
    add(project, "one", study={**STUDY, "modles": []})
    with pytest.raises(ComponentTreeException) as refused, project.build_all_defs():
        pass
    assert isinstance(refused.value.__cause__, StudyError)
    assert "'models'" in str(refused.value.__cause__)
