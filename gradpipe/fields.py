"""Types of settings: ``yes`` is not 1, numbers are finite, and a day is written as a date."""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be a number, not yes or no")
    return value


def _require_date(value: Any) -> Any:
    # pydantic also reads seconds since 1970 as a date.
    text = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    if not text and (not isinstance(value, date) or isinstance(value, datetime)):
        raise ValueError("input should be a date such as 2024-07-26")
    return value


#: A whole number, written as one: not a boolean, text or 3.0.
Whole = Annotated[int, Field(strict=True)]
#: A finite number. Text is accepted too, since YAML reads 1e-3, without a dot, as text.
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_reject_bool)]
#: A day, written as YEAR-MONTH-DAY.
Day = Annotated[date, BeforeValidator(_require_date)]
