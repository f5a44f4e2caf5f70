"""Format quantities as text."""

from __future__ import annotations

from datetime import timedelta

_SI_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")


def format_bytes(size: float) -> str:
    """Format bytes of memory or files, in powers of 1024: ``5 bytes``, ``1 MiB``, ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size = size / 1024
    return f"{size:.4g} TiB"


def format_amount(value: float, unit: str) -> str:
    """Format an estimate with three digits and an SI prefix: 1.23e12 FLOP is ``1.23 TFLOP``.

    Estimated bytes are in SI units too, as in the data sheets of GPUs that they are compared with.
    """
    step = 0
    while abs(value) >= 999.5 and step < len(_SI_PREFIXES) - 1:
        value, step = value / 1000, step + 1
    text = f"{value:.0f}" if value >= 99.5 or step == 0 else f"{value:.3g}"
    return f"{text} {_SI_PREFIXES[step]}{unit}"


def format_duration(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds, with days if any; as days from 100 days on."""
    days = seconds / 86400
    return f"{days:,.0f} days" if days >= 100 else str(timedelta(seconds=round(seconds)))


def format_cost(cost: float) -> str:
    """Format an amount of money with two decimals, or two digits below a tenth."""
    return f"{cost:,.2f}" if cost >= 0.1 or cost == 0 else f"{cost:.2g}"
