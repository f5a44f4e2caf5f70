"""Cosines of gradients, from factors or matrices, equal those of ordinary autograd in float64."""

import gc
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.rows import explode_layers, explode_matrices
from gradpipe.gradients.spectra import inner_products
from gradpipe.gradients.spectra import layer_jobs as layers
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.gradients.spectra.inner_products import RowAlignment
from gradpipe.gradients.spectra.matmul import outer, ready
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.sketches import STEPS, Sketcher
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from tests.gradients.twins import Decoder, naive, projection_gradients

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
WAYS = {"factors": math.inf, "matrices": 0}
ATTENTION = ("q", "k", "v", "o")
GATED = (*ATTENTION, "gate", "up", "down")
PAIRS = [f"{pair}_cosine" for pair in SAME_LAYER]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How products are taken, whatever the texts' lengths."""
    monkeypatch.setattr(inner_products, "by_matrices", lambda _shapes: WAYS[request.param])
    return str(request.param)


def extract(
    model: Any, rows: list[TokenRow], names: tuple[str, ...] = ATTENTION, **more: Any
) -> pl.DataFrame:
    loaded = LoadedModel(name="tiny", fingerprint="", model=model, tokenizer=None, device="cpu")  # type: ignore[arg-type]
    protocol = make_protocol(projections=names)
    return pl.concat(extract_rows(loaded, rows, protocol, budget=4096, **more)).sort("row")


def cosine(one: Tensor, other: Tensor) -> float | None:
    """Of two matrices as vectors; None where they have none."""
    if one.numel() != other.numel() or not one.any() or not other.any():
        return None
    return float(torch.cosine_similarity(one.double().flatten(), other.double().flatten(), dim=0))


def same_layer(gradients: dict[str, Tensor]) -> list[float | None]:
    """The comparisons of SAME_LAYER, in order."""
    q, k, v, o = (gradients[name] for name in ATTENTION)
    transposed = cosine(q, o.T) if q.shape == o.T.shape else None
    return [cosine(q, o), transposed, cosine(k, v)]


def assert_close(found: list[Any], expected: list[Any], tolerance: float) -> None:
    assert [each is None for each in found] == [each is None for each in expected]
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if b is not None]
    np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=0, atol=tolerance)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma2", "gpt2", "falcon grouped", "phi3"])
def test_every_cosine_is_that_of_full_autograd_in_one_padded_batch(
    family: str, way: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model(family, torch.float64), make_rows((6, 2), (33, 20), (14, 13), (21, 1))
    names = ATTENTION if family.startswith("falcon") else tuple(n for n in GATED if n != "gate")
    table = extract(model, rows, names)
    inside = explode_layers(table.lazy()).collect()
    between = explode_matrices(table.lazy()).collect()
    for number, row in enumerate(rows):
        naive(model, row, names)
        depth = model.config.num_hidden_layers
        gradients = [projection_gradients(model, layer) for layer in range(depth)]
        of_row = inside.filter(pl.col("row") == number)
        for layer in range(depth):
            assert_close(list(of_row.select(PAIRS).row(layer)), same_layer(gradients[layer]), 2e-7)
        for name in names:
            expected = [cosine(here[name], above[name]) for here, above in pairwise(gradients)]
            found = between.filter(row=number, projection=name)["next_layer_cosine"].to_list()
            assert_close(found, [*expected, None], 2e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_every_precision_gives_the_cosines_of_its_own_numbers(
    dtype: torch.dtype, way: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    rows = make_rows((30, 12), (12, 6))
    found, exact = (
        explode_layers(extract(model, rows).lazy()).collect()
        for model in (make_model("llama", dtype), make_model("llama", dtype).double())
    )
    tolerance = 30 * torch.finfo(dtype).eps + 1e-6
    for pair in PAIRS:
        np.testing.assert_allclose(found[pair], exact[pair], rtol=0, atol=tolerance)


def test_what_shares_the_batch_changes_no_cosine_and_no_sketch(
    way: str, make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    rows = make_rows(*((12 + 7 * (number % 5), 1 + number % 9) for number in range(9)))
    together = extract(model, rows)
    alone = pl.concat([extract(model, [row]) for row in rows])
    for name in PAIRS:
        found, expected = (explode_layers(t.lazy()).collect()[name] for t in (together, alone))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    (cosines, sketches), (one_cosines, one_sketches) = (
        explode_matrices(t.lazy()).collect().select("next_layer_cosine", "sketch").get_columns()
        for t in (together, alone)
    )
    assert_close(cosines.to_list(), one_cosines.to_list(), 1e-5)
    # A value on the edge between two steps may go either way.
    np.testing.assert_allclose(
        np.stack(sketches.to_list()), np.stack(one_sketches.to_list()), rtol=0, atol=1.01 / STEPS
    )


def test_without_them_cosines_and_sketches_are_null_and_the_spectra_the_same(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model, rows = make_model("llama"), make_rows((9, 4), (20, 3))
    bare, full = (extract(model, rows, aligned=aligned) for aligned in (False, True))
    assert bare.schema == full.schema
    matrices = explode_matrices(bare.lazy()).collect()
    assert matrices["next_layer_cosine"].is_null().all()
    assert matrices["sketch"].is_null().all()
    assert explode_layers(bare.lazy()).collect().select(PAIRS).null_count().row(0) == (6, 6, 6)
    values = [explode_matrices(t.lazy()).collect()["singular_values"] for t in (bare, full)]
    assert values[0].equals(values[1])


def without_sketches(table: pl.DataFrame) -> pl.DataFrame:
    """All numbers of rows but their sketches and seconds."""
    matrices = explode_matrices(table.lazy()).drop("sketch", "seconds").collect()
    return matrices.join(explode_layers(table.lazy()).collect(), on=["row", "layer"], how="left")


def test_cosines_come_without_sketches(make_model: MakeModel, make_rows: MakeRows) -> None:
    model, rows = make_model("llama"), make_rows((9, 4), (20, 3))
    bare, full = (extract(model, rows, sketched=sketched) for sketched in (False, True))
    assert bare.schema == full.schema
    assert explode_matrices(bare.lazy()).collect()["sketch"].is_null().all()
    assert explode_matrices(full.lazy()).collect()["sketch"].null_count() == 0
    assert_frame_equal(without_sketches(bare), without_sketches(full))
    # A single projection is compared with nothing in the last layer.
    alone = extract(model, rows, ("q",), sketched=False)
    cosines = explode_matrices(alone.lazy()).collect()["next_layer_cosine"]
    assert cosines.null_count() == len(rows)
    assert cosines.len() == 3 * len(rows)


def test_only_what_is_there_is_compared(make_model: MakeModel, make_rows: MakeRows) -> None:
    model, rows = make_model("llama"), make_rows((9, 4))
    inside = explode_layers(extract(model, rows, ("q", "k", "v")).lazy()).collect()
    assert inside.columns == ["row", "layer", *PAIRS]
    assert inside.select(PAIRS).null_count().row(0) == (3, 3, 0)
    assert extract(model, [TokenRow([4], 1, False, "empty")])["layers"].to_list() == [[]]


def test_a_gradient_of_zero_points_nowhere() -> None:
    # The only query sees one key: attention cannot change, whatever query and key are.
    table = extract(Decoder().double(), [TokenRow([3, 9], 1, False)])
    inside = explode_layers(table.lazy()).collect()
    assert inside.select(PAIRS).null_count().row(0) == (3, 3, 3)
    matrices = explode_matrices(table.lazy()).collect()
    zero = matrices.filter(pl.col("projection").is_in(["q", "k"]))
    assert zero["sketch"].is_null().all()
    assert zero["next_layer_cosine"].is_null().all()
    assert matrices.filter(projection="v")["sketch"].is_not_null().all()


#: (d_out, d_in) by projection, of each layer, first layer first.
Shapes = list[dict[str, tuple[int, int]]]
Factors = dict[tuple[int, str], tuple[Tensor, Tensor]]
WIDTHS = st.sampled_from([1, 4, 6, 24])
LAYERS = st.lists(
    st.dictionaries(st.sampled_from(["q", "k", "v", "o", "up"]), WIDTHS, min_size=1),
    min_size=1,
    max_size=4,
)


def random_factors(widths: list[dict[str, int]], lengths: list[int], seed: int) -> Factors:
    """X and D [rows, T, width] of each (layer, projection): Q, K and V share their inputs, O's are
    as many as Q's outputs; behind a row's end X is infinite and D zero.
    """
    generator = torch.Generator().manual_seed(seed)

    def random(width: int, behind: float) -> Tensor:
        found = torch.randn(len(lengths), max(lengths), width, generator=generator)
        for row, length in enumerate(lengths):
            found[row, length:] = behind
        return found

    factors = {}
    for layer, by_name in enumerate(widths):
        x = random(6, math.inf)
        for name, width in by_name.items():
            inputs = x if name in {"q", "k", "v"} else random(by_name.get("q", 4), math.inf)
            factors[layer, name] = inputs, random(width, 0.0)
    return factors


def aligned(
    factors: Factors, lengths: list[int], threads: int = 2, concurrent: bool = False
) -> list[RowAlignment]:
    """What a sink finds, given the last layer first."""
    given = [
        (SimpleNamespace(layer=layer, name=name, path=name, experts=None, heads=None), x, d)
        for (layer, name), (x, d) in sorted(factors.items(), key=lambda each: -each[0][0])
    ]
    with ThreadPoolExecutor(threads) as executor:
        pool = SpectraPool(executor, threads, concurrent, Sketcher())
        sink = SpectraSink(lengths, [p for p, _, _ in given], pool)  # type: ignore[misc]
        for projection, x, d in given:
            sink(projection, x, d)  # type: ignore[arg-type]
        sink.finish()
    return sink.alignments


@settings(max_examples=40, deadline=None)
@given(
    widths=LAYERS,
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
    threads=st.integers(1, 3),
    concurrent=st.booleans(),
)
def test_uneven_layers_are_compared_where_their_shapes_allow(
    widths: list[dict[str, int]], lengths: list[int], seed: int, threads: int, concurrent: bool
) -> None:
    factors = random_factors(widths, lengths, seed)
    found = aligned(factors, lengths, 1 if concurrent else threads, concurrent)
    for row, length in enumerate(lengths):
        slow = {
            place: d[row, :length].double().T @ x[row, :length].double()
            for place, (x, d) in factors.items()
        }
        nexts = {
            (layer, name): float((gradient * slow[layer + 1, name]).sum())
            for (layer, name), gradient in slow.items()
            if (layer + 1, name) in slow and slow[layer + 1, name].shape == gradient.shape
        }
        inside = {}
        for layer in range(len(widths)):
            for pair, (left, right) in SAME_LAYER.items():
                one, other = slow.get((layer, left)), slow.get((layer, right))
                if one is None or other is None:
                    continue
                if pair == "q_ot" and one.shape == other.T.shape:
                    inside[layer, pair] = float((one * other.T).sum())
                elif pair != "q_ot" and one.numel() == other.numel():
                    inside[layer, pair] = float((one.flatten() * other.flatten()).sum())
        for ours, expected in ((found[row].next_layer, nexts), (found[row].same_layer, inside)):
            assert ours.keys() == expected.keys()
            for place, value in expected.items():
                assert ours[place] == pytest.approx(value, rel=1e-4, abs=1e-3)
        assert found[row].sketches.keys() == slow.keys()


def test_one_layer_stays_for_the_next_and_no_more() -> None:
    lengths, depth = [9, 7], 8
    widths = [dict.fromkeys(ATTENTION, 6)] * depth
    storages: dict[int, list[StorageWeakRef]] = {}
    projections = [
        SimpleNamespace(layer=layer, name=name, path=name, experts=None, heads=None)
        for layer in reversed(range(depth))
        for name in ATTENTION
    ]
    with ThreadPoolExecutor(1) as executor:
        pool = SpectraPool(executor, 1, False, Sketcher())
        sink = SpectraSink(lengths, projections, pool)  # type: ignore[arg-type]
        for projection in projections:
            if projection.name == ATTENTION[0]:
                factors = random_factors(widths[:1], lengths, projection.layer)
            x, d = factors.pop((0, projection.name))
            storages.setdefault(projection.layer, []).append(StorageWeakRef(d.untyped_storage()))
            sink(projection, x, d)  # type: ignore[arg-type]
            del x, d
            if not sink._held and not factors:
                gc.collect()
                # The thread lets go of its last job just after it has told the result.
                executor.submit(gc.collect).result()
                older = [layer for layer in storages if layer > projection.layer]
                assert all(each.expired() for layer in older for each in storages[layer])
        sink.finish()
    del sink
    gc.collect()
    assert all(each.expired() for of_layer in storages.values() for each in of_layer)


class Fault(Exception):
    """What a comparison fails with."""


@pytest.mark.parametrize(("threads", "concurrent"), [(1, False), (2, False), (1, True)])
def test_a_comparison_that_fails_fails_those_that_wait_for_it(
    threads: int, concurrent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_groups: Any) -> Any:
        raise Fault

    monkeypatch.setattr(layers, "layer_gradients", fail)
    lengths = [5, 5]
    with pytest.raises(Fault):
        aligned(random_factors([{"q": 6, "o": 6}] * 6, lengths, 0), lengths, threads, concurrent)


def test_matrices_are_formed_for_long_texts_and_narrow_models_only() -> None:
    for tokens, formed in ((100, False), (200, True)):
        x = torch.randn(1, tokens, 576)
        groups = [
            (x, {n: torch.randn(1, tokens, w) for n, w in (("q", 576), ("k", 192), ("v", 192))}),
            (torch.randn(1, tokens, 576), {"o": torch.randn(1, tokens, 576)}),
        ]
        found = inner_products.layer_gradients(groups)
        assert all((each.matrix is not None) is formed for each in found.values())


def test_products_of_half_precision_come_out_in_single() -> None:
    a, b = (torch.empty(2, n, 4, dtype=torch.bfloat16, device="meta") for n in (3, 5))
    assert outer(a, b).dtype == torch.float32
    assert outer(a, b).shape == (2, 3, 5)
    assert ready(torch.zeros(1, dtype=torch.float16)).dtype == torch.float32
    assert ready(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_both_libraries_give_the_same_product(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradpipe.gradients.spectra import matmul

    a, b = torch.randn(3, 20, 40), torch.randn(3, 30, 40)
    found = []
    for faster in (True, False):
        monkeypatch.setattr(matmul, "onednn_is_faster", lambda faster=faster: faster)
        found.append(outer(a, b))
        found.append(outer(a.mT, a.mT))
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[3])
