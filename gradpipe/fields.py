"""Types of numeric settings: ``yes`` is not 1, and numbers are finite."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be a number, not yes or no")
    return value


#: A whole number, written as one: not a boolean, text or 3.0.
Whole = Annotated[int, Field(strict=True)]
#: A finite number. Text is accepted too, since YAML reads 1e-3, without a dot, as text.
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_reject_bool)]
