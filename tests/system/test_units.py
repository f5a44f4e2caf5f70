"""Quantities as text."""

import pytest

from gradpipe.system.units import format_amount, format_bytes, format_cost, format_duration


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (5, "5 bytes"),
        (2**18, "256 KiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**32, "4 GiB"),
        (2**50, "1024 TiB"),
    ],
)
def test_sizes_are_in_powers_of_1024(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (999_600, "1 MB"), (1_234_000, "1.23 MB"), (7.06e11, "706 GB")],
)
def test_amounts_have_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert format_amount(value, "B") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00:00"),
        (3661.4, "1:01:01"),
        (90_061, "1 day, 1:01:01"),
        (86_400 * 1234, "1,234 days"),
    ],
)
def test_durations_are_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0, "0.00"), (0.00023, "0.00023"), (0.0999, "0.1"), (0.25, "0.25"), (12_345.678, "12,345.68")],
)
def test_small_costs_are_not_rounded_to_nothing(cost: float, text: str) -> None:
    assert format_cost(cost) == text
