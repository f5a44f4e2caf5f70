"""What generated responses may cost: limits of one run, and prices of tokens."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gradpipe.fields import Number, Whole


class Budget(BaseModel):
    """Limits of one run: requests, including retries, and tokens of prompts and responses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Whole | None = Field(
        default=None,
        ge=0,
        description="The most requests of one run, retries included; by default no limit.",
    )
    tokens: Whole | None = Field(
        default=None,
        ge=0,
        description="The most tokens of one run, prompts and responses; by default no limit.",
    )


class TokenPrice(BaseModel):
    """The price per million tokens, in the currency of the server's bill."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Number = Field(ge=0, description="The price per million prompt tokens.")
    response: Number = Field(ge=0, description="The price per million response tokens.")

    def cost(self, prompt_tokens: int, response_tokens: int) -> float:
        """Return the cost of these tokens, in the same currency."""
        return (prompt_tokens * self.prompt + response_tokens * self.response) / 1e6
