"""Numbers of settings that are numbers: ``yes`` is no 1, and none is infinite."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("input should be a number, and yes or no is none")
    return value


#: A whole number, written as one: no switch, no text, no 3.0.
Whole = Annotated[int, Field(strict=True)]
#: A finite number. As text it counts too, since YAML takes 1e-3, without a dot, for text.
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_switch)]
