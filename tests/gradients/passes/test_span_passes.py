"""Each span's spectra are those of its share of the response's gradient."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor, nn

from gradpipe.conversations.spans import TokenSpan
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.loop import BatchLoop
from gradpipe.gradients.passes import fast_linear, span_passes
from gradpipe.gradients.passes import run_batch as batch_passes
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.run_batch import RowGradients, run_batch
from gradpipe.gradients.passes.span_passes import SpanGradients
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices, explode_spans
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.spectrum import Spectrum, TokenSizes
from gradpipe.gradients.spectra.workers import spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import Projection, find_projections
from tests.gradients.twins import projection_gradients

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
FAMILIES = ("llama", "qwen3", "gemma2", "phi3", "gpt2", "mixtral", "gpt_oss")
#: Softmax in float32 whatever the model's dtype: float64 gains little.
FLOAT32_INSIDE = {"gemma2", "gpt_oss"}
#: Tokens and response start of rows that share a batch, and how many spans each has.
SHAPES = {(30, 12): 3, (29, 11): 0, (28, 1): 2, (28, 20): 1, (28, 25): 3, (27, 9): 6}


@pytest.fixture(autouse=True)
def one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same matrix product each time: a trial may end one way now and the other way later."""
    faster = torch.backends.mkldnn.is_available()
    monkeypatch.setattr(fast_linear, "_onednn_is_faster", lambda _modules: faster)


def divided(row: TokenRow, count: int) -> TokenRow:
    """A row whose loss positions take turns in belonging to one of its spans."""
    positions = tuple(row.positions)
    starts = [(number + 1) % count for number in range(count)]
    named = (TokenSpan(f"s{number}", positions[n::count]) for number, n in enumerate(starts))
    return replace(row, spans=tuple(named))


@pytest.fixture
def rows(make_rows: MakeRows) -> list[TokenRow]:
    """Rows of one batch with different numbers of spans; one has spans of one token each."""
    return [
        divided(row, count) for row, count in zip(make_rows(*SHAPES), SHAPES.values(), strict=True)
    ]


def gradients(model: Any, rows: list[TokenRow]) -> list[RowGradients]:
    with frozen(model), spectra_pool("cpu", aligned=True) as pool:
        return run_batch(model, find_projections(model), rows, pool)


def loaded(model: Any, checkpointing: bool = False) -> LoadedModel:
    return LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
        checkpointing=checkpointing,
    )


def extract(model: Any, rows: list[TokenRow], twice: bool = False, **settings: Any) -> pl.DataFrame:
    frames = list(extract_rows(loaded(model, twice), rows, STANDARD, **settings))
    return pl.concat(frames).drop("seconds").sort("row")


def twin(model: Any, row: TokenRow, positions: tuple[int, ...]) -> dict[tuple[int, str], Tensor]:
    """G of a part of a row's loss for each layer and projection, by ordinary autograd."""
    model.requires_grad_(True)
    model.zero_grad()
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    predicting, targets = [p - 1 for p in positions], torch.tensor(row.ids)[list(positions)]
    losses = nn.functional.cross_entropy(logits[predicting], targets, reduction="sum")
    (losses / len(row.positions)).backward()
    return {
        (layer, name): gradient.detach().clone()
        for layer in range(model.config.num_hidden_layers)
        for name, gradient in projection_gradients(model, layer).items()
        if name in "qkvo"
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_spectra_of_spans_equal_those_of_dense_gradients(
    family: str, make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model(family, torch.float64)
    tolerance = 1e-6 if family in FLOAT32_INSIDE else 1e-7
    for row, found in zip(rows, gradients(model, rows), strict=True):
        assert [(span.name, span.tokens) for span in found.spans] == [
            (span.name, len(span.positions)) for span in row.spans
        ]
        summed: dict[tuple[int, str], Tensor] = {}
        for span, of_span in zip(row.spans, found.spans, strict=True):
            for place, dense in twin(model, row, span.positions).items():
                summed[place] = summed.get(place, torch.zeros(())) + dense
                values = torch.linalg.svdvals(dense).numpy()
                own = of_span.spectra[place].singular_values.numpy()
                width = max(len(values), len(own))
                padded = [np.pad(each, (0, width - len(each))) for each in (own, values)]
                np.testing.assert_allclose(*padded, rtol=0, atol=tolerance * values[0])
            assert of_span.spectra.keys() == found.spectra.keys()
        if row.spans:
            shares = sum(span.loss * span.tokens for span in found.spans)
            assert shares / row.response_tokens == pytest.approx(found.loss, rel=1e-10)
            for place, spectrum in found.spectra.items():
                norm = float(summed[place].norm())
                assert spectrum.squared_norm**0.5 == pytest.approx(norm, rel=tolerance)


def test_a_spans_gradient_scaled_by_its_tokens_is_that_of_its_own_mean_loss(
    make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model("llama", torch.float64)
    [found] = gradients(model, rows[:1])
    for span, of_span in zip(rows[0].spans, found.spans, strict=True):
        alone = replace(rows[0], mask=span.positions, spans=())
        scale = rows[0].response_tokens / of_span.tokens
        for place, dense in twin(model, alone, span.positions).items():
            expected = torch.linalg.svdvals(dense).sum().item()
            values = of_span.spectra[place].singular_values
            assert float(values.sum()) * scale == pytest.approx(expected, rel=1e-6)
            norm = of_span.spectra[place].squared_norm ** 0.5
            assert norm * scale == pytest.approx(float(dense.norm()), rel=1e-7)


def test_spans_that_overlap_are_measured_independently(
    make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model("llama", torch.float64)
    row = rows[0]
    positions = tuple(row.positions)
    overlapping = (*row.spans, TokenSpan("first_k", positions[:2]), TokenSpan("all", positions))
    [found] = gradients(model, [replace(row, spans=overlapping)])
    [alone] = gradients(model, [row])
    assert [span.name for span in found.spans] == [span.name for span in overlapping]
    whole = found.spans[-1]
    assert (whole.loss, whole.spectra) == (found.loss, found.spectra)
    for span, again in zip(alone.spans, found.spans, strict=False):
        for place, spectrum in span.spectra.items():
            norm = again.spectra[place].squared_norm
            assert spectrum.squared_norm == pytest.approx(norm, rel=1e-9)
    for place, dense in twin(model, row, positions[:2]).items():
        norm = found.spans[-2].spectra[place].squared_norm ** 0.5
        assert norm == pytest.approx(float(dense.norm()), rel=1e-7)


def test_gradients_of_spans_sum_to_the_responses(
    make_model: MakeModel, rows: list[TokenRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[dict[tuple[int, int, str], Tensor]] = []

    class Recording(SpectraSink):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self.dense: dict[tuple[int, int, str], Tensor] = {}
            passes.append(self.dense)

        def __call__(self, projection: Projection, x: Tensor, d: Tensor) -> None:
            for row in range(len(x)):
                place = row, projection.layer, projection.name
                self.dense[place] = d[row].T.double() @ x[row].detach().double()
            super().__call__(projection, x, d)

    monkeypatch.setattr(batch_passes, "SpectraSink", Recording)
    monkeypatch.setattr(span_passes, "SpectraSink", Recording)
    found = gradients(make_model("llama"), rows)
    whole, *parts = passes
    assert len(parts) == 6
    for (row, layer, name), dense in whole.items():
        if len(rows[row].spans) > 1:
            summed = sum(part[row, layer, name] for part in parts)
            assert float((summed - dense).norm()) < 1e-5 * float(dense.norm())
            norms = (span.spectra[layer, name].squared_norm ** 0.5 for span in found[row].spans)
            assert found[row].norms[layer, name] <= (1 + 1e-6) * sum(norms)
        else:
            assert not any(part[row, layer, name].any() for part in parts)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_whole_response_has_the_numbers_that_it_has_without_spans(
    family: str, make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model(family)
    whole = [replace(row, spans=()) for row in rows]
    names = ("row", "loss", "response_tokens", "layer", "projection", "frobenius_norm")
    for twice in (False, True):
        found, expected = (
            explode_matrices(extract(model, given, twice).lazy())
            .select(*names, "singular_values")
            .collect()
            for given in (rows, whole)
        )
        assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_spans_are_the_same_with_checkpointing_and_in_any_batch(
    family: str, make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model(family)
    spans = explode_spans(extract(model, rows).lazy()).collect()
    assert spans["row"].unique().to_list() == [0, 2, 3, 4, 5]
    twice = explode_spans(extract(model, rows, twice=True).lazy()).collect()
    assert_frame_equal(twice, spans, check_exact=True)
    alone = explode_spans(extract(model, rows, budget=30).lazy()).collect()
    names = ("singular_values",)
    assert_frame_equal(alone.drop(names), spans.drop(names), rel_tol=1e-5)


def test_an_only_span_is_the_response_and_takes_no_pass(
    make_model: MakeModel, rows: list[TokenRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_passes, "SpectraSink", None)
    [found] = gradients(make_model("llama"), rows[3:4])
    [span] = found.spans
    assert (span.loss, span.tokens) == (found.loss, rows[3].response_tokens)
    assert span.spectra == found.spectra


def test_a_batch_that_does_not_fit_in_a_pass_of_a_span_is_halved(
    make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model("llama")
    expected = explode_spans(extract(model, rows, budget=60).lazy()).collect()

    def fail(_module: nn.Module, _inputs: tuple[Tensor], gradient: tuple[Tensor]) -> None:
        if len(gradient[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.model.layers[0].register_full_backward_hook(fail)
    found = explode_spans(extract(model, rows, budget=120).lazy()).collect()
    assert_frame_equal(
        found.drop("singular_values"), expected.drop("singular_values"), rel_tol=1e-5
    )


def test_spans_of_a_faulty_row_are_empty_and_leave_the_others_alone(
    make_model: MakeModel, rows: list[TokenRow]
) -> None:
    model = make_model("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[269] = torch.inf
    ids = [[3 if token == 269 else token for token in row.ids] for row in rows]
    rows = [replace(row, ids=own) for row, own in zip(rows, ids, strict=True)]
    expected = extract(model, rows)
    rows[2] = replace(rows[2], ids=[*rows[2].ids[:20], 269, *rows[2].ids[21:]])
    found = extract(model, rows)
    assert found["reason"].is_not_null().to_list() == [False, False, True, False, False, False]
    assert found["spans"].list.len().to_list() == [3, 0, 0, 1, 3, 6]
    others = pl.col("row") != 2
    assert_frame_equal(
        explode_spans(found.lazy()).collect(),
        explode_spans(expected.lazy()).filter(others).collect(),
        rel_tol=1e-5,
        abs_tol=1e-6,
    )


def test_a_faulty_span_of_a_usable_row_has_no_matrices(
    make_model: MakeModel, rows: list[TokenRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    infinite = Spectrum(torch.tensor([torch.inf]), torch.inf, TokenSizes(torch.inf, torch.inf))
    broken = SpanGradients("s0", 2, 0.5, {(0, "q"): infinite})
    monkeypatch.setattr(batch_passes, "gradients_of_spans", lambda *_given: [(broken,), ()])
    table = extract(make_model("llama"), [rows[0], rows[1]])
    assert table["reason"].to_list() == [None, None]
    assert table["spans"].to_list() == [
        [{"name": "s0", "tokens": 2, "loss": 0.5, "matrices": []}],
        [],
    ]
    assert explode_spans(table.lazy()).collect().is_empty()


@pytest.mark.parametrize("twice", [False, True])
def test_passes_of_spans_do_not_shrink_the_batches(
    twice: bool, make_model: MakeModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradpipe.gradients.passes.memory.free_memory", lambda _device: 10**6)
    model, whole = make_model("llama"), make_rows(*[(20, 10)] * 12, (600, 10))
    budgets = []
    for rows in (whole, [divided(row, 4) for row in whole]):
        batches = BatchLoop(loaded(model, twice), find_projections(model), rows)
        list(batches.run())
        budgets.append(batches.budget)
    assert budgets[0] == pytest.approx(budgets[1], rel=0.05)
