"""Settings of a generator's model: which one writes, and where it runs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gradpipe.errors import StudyError
from gradpipe.generators.secrets import check_key_name
from gradpipe.generators.server_address import default_address, plain_address

#: The kinds that load the model's weights themselves.
LOCAL_KINDS = ("transformers", "vllm")


class WriterSettings(BaseModel):
    """The writer of responses: its kind, model and server."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["source", "openai", "batch", "transformers", "vllm"] = Field(
        default="source",
        description=(
            "The writer of responses: none (``source``), an OpenAI-compatible server "
            "(``openai``), files for a batch API or ``vllm run-batch`` (``batch``), or a local "
            "model (``transformers``, or ``vllm`` where it is installed)."
        ),
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="The model's name on the server, or its hub id or folder.",
    )
    revision: str | None = Field(
        default=None,
        description="A branch, tag or commit of a hub model, for ``transformers`` and ``vllm``.",
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="The precision of the weights, for ``transformers`` and ``vllm``.",
    )
    base_url: str | None = Field(
        default=None,
        description="The server's address; by default OPENAI_BASE_URL, or OpenAI's own. "
        "``batch`` needs none; with one, it shares its answers with ``openai`` at that address.",
    )
    key: str | None = Field(
        default=None,
        description=(
            "The name of the environment variable that holds the server's key; by default "
            "OPENAI_API_KEY, which is not sent to unknown hosts."
        ),
    )

    @field_validator("key")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        if value is not None:
            check_key_name(value)
        return value

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        return None if value is None else plain_address(value)

    @model_validator(mode="after")
    def _has_a_model(self) -> WriterSettings:
        if self.kind != "source" and self.model is None:
            raise StudyError(
                f"The generator {self.kind!r} needs a model: set the generator's `model`."
            )
        if self.kind not in LOCAL_KINDS and self.revision is not None:
            raise StudyError(
                f"The generator {self.kind!r} has no revisions: remove `revision`, or use the "
                "generator 'transformers'."
            )
        return self

    @property
    def address(self) -> str:
        """The server's base URL, with the openai client's defaults; raises StudyError."""
        return self.base_url or default_address()

    def weights(self) -> str:
        """Return the fingerprint of a local model's files; raises ModelError if it is missing."""
        from gradpipe.models.find import find_model
        from gradpipe.models.fingerprint import fingerprint

        # By content, as in a spectrum's key: a moved model keeps its identity, a model trained
        # further at the same path does not.
        return fingerprint(find_model(str(self.model), self.revision))
