"""Families of models: found by their names, compared by the shapes of their curves."""

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.quality.claims import SEQUEL_CLAIMS
from gradpipe.claims.quality.model_families import family_of, size_of
from gradpipe.claims.verdicts import judge
from tests.claims.made_up_quality import quality_table, sizes_and_lengths

S4A = [claim for claim in SEQUEL_CLAIMS if claim.claim == "S4a"]
RISING = (0.0, 0.3, 0.6, 0.9)
#: The same shape at twice the depth: linear interpolation meets it exactly.
RISING_DEEP = tuple(np.interp(np.linspace(0, 3, 7), range(4), RISING))
FALLING = (0.9, 0.6, 0.3, 0.0)


@pytest.mark.parametrize(
    ("model", "family", "size"),
    [
        ("Qwen/Qwen2.5-1.5B", "qwen", 1500),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama", 8000),
        ("meta-llama/Llama-2-7b-hf", "llama", 7000),
        ("HuggingFaceTB/SmolLM2-135M", "smollm", 135),
        ("google/gemma-2-2b-it", "gemma", 2000),
        ("demo", "demo", None),
        ("./models/Qwen3-0.6B", "qwen", 600),
    ],
)
def test_family_and_size_are_those_of_the_name(model: str, family: str, size: float | None) -> None:
    assert (family_of(model), size_of(model)) == (family, size)


def judged(**curves: tuple[float, ...]) -> pl.DataFrame:
    """Verdicts on models by name (``_`` for ``-``), each with the same items and its own curve."""
    made = sizes_and_lengths(0, noise=0.05)
    tables = [
        quality_table(*made, model=name.replace("_", "-"), curve=curve)
        for name, curve in curves.items()
    ]
    # Items differ a little from model to model and from layer to layer.
    draw = np.random.default_rng(1)
    noisy = [
        table.with_columns(
            nuclear_norm=pl.col("nuclear_norm") * np.exp(draw.normal(0, 0.1, len(table)))
        )
        for table in tables
    ]
    return judge(pl.concat(noisy), S4A, resamples=300)


def test_a_family_of_one_shape_agrees_across_sizes_and_depths() -> None:
    verdicts = judged(Qwen_1B=RISING, Qwen_7B=RISING_DEEP, Llama_8B=FALLING)
    cells = verdicts.filter(level="cell")
    assert set(cells["model"]) == {"qwen"}
    assert set(cells["verdict"]) == {"supported"}
    assert verdicts.filter(level="overall")["verdict"].item() == "supported"


def test_a_family_of_two_shapes_does_not_agree() -> None:
    cells = judged(Qwen_1B=RISING, Qwen_7B=FALLING, Llama_8B=RISING).filter(level="cell")
    assert set(cells["verdict"]) == {"contradicted"}


@pytest.mark.parametrize(
    "models",
    [
        {"Qwen_1B": RISING, "Qwen_7B": RISING},
        {"Qwen_1B": RISING, "Llama_8B": RISING},
        {"Qwen_7B": RISING, "Qwen_7B_Instruct": RISING, "Llama_8B": FALLING},
    ],
)
def test_without_two_sizes_of_a_family_beside_another_nothing_is_judged(
    models: dict[str, tuple[float, ...]],
) -> None:
    assert judged(**models).is_empty()
