"""Bills of hypothetical work, against arithmetic in the tests."""

import re

import pytest

from gradpipe.errors import GradpipeError
from gradpipe.estimates.format import assumptions, bill_lines
from gradpipe.estimates.hypothetical import GPUS, Setting, hypothetical_bill
from gradpipe.estimates.model_shape import KNOWN

LARGE = KNOWN["llama-3.1-70b"]
MILLION = Setting(1_000_000, 600, 400, gpus=64)


def test_a_million_examples_on_a_70b_model_over_64_gpus() -> None:
    bill = hypothetical_bill(LARGE, MILLION)
    assert bill.cost.tokens == 600e6
    # Two FLOPs per weight and token forward, two backward; attention and head change little.
    assert bill.cost.passes == pytest.approx(4 * 70e9 * 600e6, rel=0.05)
    assert bill.memory.weights == pytest.approx(141e9, rel=0.01)
    # Two 80 GB hold the weights, but not a text beside them.
    assert (bill.gpus_per_copy, bill.copies) == (3, 21)
    in_half = bill.cost.passes + bill.cost.comparisons
    assert bill.cost.comparisons < 0.05 * bill.cost.passes
    seconds = in_half / (989e12 * 0.4) + bill.cost.spectra / (67e12 * 0.1)
    assert bill.hours == pytest.approx(seconds / 3600 / 21)
    assert bill.gpu_hours == pytest.approx(seconds / 3600 * 3)
    # 80 layers of four times about 599 values of three bytes, and a sketch of less than 500 bytes.
    assert bill.cost.disk == pytest.approx(1e6 * 80 * 4 * (599 * 3.06 + 464), rel=0.03)
    assert bill.memory.bytes / 3 < GPUS["h100"].memory


def test_more_of_the_peak_or_more_gpus_take_less_time() -> None:
    bill = hypothetical_bill(LARGE, MILLION)
    more = hypothetical_bill(LARGE, Setting(1_000_000, 600, 400, gpus=126))
    assert more.hours == pytest.approx(bill.hours / 2)
    assert more.gpu_hours == pytest.approx(bill.gpu_hours)
    busy = Setting(1_000_000, 600, 400, 64, utilization=0.8, spectra_utilization=0.2)
    assert hypothetical_bill(LARGE, busy).hours == pytest.approx(bill.hours / 2)


def test_assumptions_are_listed() -> None:
    bill = hypothetical_bill(LARGE, MILLION)
    assumed = assumptions(LARGE, bill)
    for number in ("70.6", "1,000,000", "600", "400", "989", "67", "40%", "10%"):
        assert re.search(rf"\b{number}(?!\w)", " ".join(assumed))
    small = hypothetical_bill(KNOWN["qwen2-1.5b"], Setting(10, 600, 400))
    # A copy that spans several GPUs uses one at a time, which is one assumption more.
    assert len(assumptions(KNOWN["qwen2-1.5b"], small)) == len(assumed) - 1
    assert [line[0] for line in bill_lines(LARGE, bill)][-1] == "disk"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"gpu": "h1000"}, "'h100'"),
        ({"dtype": "float8"}, "'float"),
        ({"response_tokens": 601}, "--response-tokens"),
        ({"gpus": 1}, "--gpus"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, object], named: str) -> None:
    given: dict[str, object] = {"examples": 1, "tokens": 600, "response_tokens": 400, "gpus": 64}
    with pytest.raises(GradpipeError, match=named):
        hypothetical_bill(LARGE, Setting(**{**given, **settings}))  # type: ignore[arg-type]
