"""A small model in memory, random rows for it, and a table of examples."""

import json
from pathlib import Path

import pytest
import torch

from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel, load_model


@pytest.fixture(scope="session")
def loaded(small_model: Path) -> LoadedModel:
    return load_model(str(small_model))


@pytest.fixture(scope="session")
def rows() -> list[TokenRow]:
    """Rows of several lengths, responses of several lengths at their ends."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((30, 25), (9, 1), (41, 20), (31, 3), (40, 38))
    return [
        TokenRow(torch.randint(256, (tokens,), generator=generator).tolist(), start, False)
        for tokens, start in shapes
    ]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four items with responses of two styles."""
    path = tmp_path_factory.mktemp("data") / "sums.jsonl"
    items = [
        {"instruction": f"What is {n} + 1?", "none": f"{n + 1}", "detailed": f"{n} + 1 is {n + 1}."}
        for n in (1, 20, 300, 4000)
    ]
    path.write_text("\n".join(map(json.dumps, items)), "utf-8")
    return path
