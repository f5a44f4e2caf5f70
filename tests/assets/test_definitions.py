"""The code location as Dagster sees it."""

import dagster as dg

from definitions import defs


def test_the_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


def test_the_five_stages_feed_each_other_in_order() -> None:
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert parents == {
        "benchmark_items": set(),
        "responses": {"benchmark_items"},
        "gradient_spectra": {"responses"},
        "spectral_statistics": {"gradient_spectra"},
        "report": {"spectral_statistics"},
    }


def test_every_stage_says_what_it_is() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description
        assert len(node.description) > 80
        assert node.kinds
        assert node.group_name != "default"
        assert node.code_version
