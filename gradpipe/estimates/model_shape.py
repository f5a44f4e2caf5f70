"""A model's shape: the dimensions that its costs depend on, known without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError, nearest

#: Activation functions that come with a gate, and model types that use them without one.
GATED_ACTIVATIONS = {"silu", "swish", "gelu_pytorch_tanh"}
UNGATED_TYPES = {"starcoder2", "gpt_bigcode", "phi", "gpt2"}


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """The dimensions of a decoder.

    A mixture has ``experts`` MLPs of width ``intermediate`` per layer; a token uses ``active``.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    gated: bool = True
    tied: bool = False
    experts: int = 1
    active: int = 1

    @property
    def attention_weights(self) -> int:
        """Weights of Q, K, V and O of one layer."""
        return 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)

    @property
    def mlp_weights(self) -> int:
        """Weights of one expert of one layer, or of its only MLP."""
        return (3 if self.gated else 2) * self.hidden * self.intermediate

    @property
    def weights(self) -> int:
        """All weights of experts, embeddings and head; norms are not counted."""
        layer = self.attention_weights + self.experts * self.mlp_weights + self._router
        return self.layers * layer + (1 if self.tied else 2) * self.vocabulary * self.hidden

    @property
    def weights_per_token(self) -> int:
        """Weights of the layers that each token is multiplied with, without the head."""
        layer = self.attention_weights + self.active * self.mlp_weights + self._router
        return self.layers * layer

    @property
    def _router(self) -> int:
        return self.hidden * self.experts if self.experts > 1 else 0

    def projection(self, name: str) -> tuple[int, int]:
        """(d_out, d_in) of a projection's weight.

        The configuration's sizes of latents are not known here: their factors count as q or k.
        """
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        counted_as = {"q_a": "q", "q_b": "q", "kv_a": "k", "kv_b": "k"}
        return {
            "q": (queries, self.hidden),
            "k": (keys, self.hidden),
            "v": (keys, self.hidden),
            "o": (self.hidden, queries),
            "gate": (self.intermediate, self.hidden),
            "up": (self.intermediate, self.hidden),
            "down": (self.hidden, self.intermediate),
            "router": (self.experts, self.hidden),
        }[counted_as.get(name, name.removeprefix("cross_").removeprefix("shared_"))]

    def blocks(self, name: str, tokens: int) -> tuple[int, int]:
        """How many blocks a projection's gradient has, and the tokens behind each.

        Those of a mixture's experts have one per expert that a token reaches; it is assumed that
        tokens spread evenly.
        """
        if self.experts == 1 or name not in ("gate", "up", "down"):
            return 1, tokens
        pairs = max(1, tokens * self.active)
        blocks = min(self.experts, pairs)
        return blocks, -(-pairs // blocks)


#: Well-known models, by the dimensions in their published configurations.
KNOWN = {
    "smollm2-135m": ModelShape(
        layers=30,
        hidden=576,
        heads=9,
        kv_heads=3,
        head_dim=64,
        intermediate=1536,
        vocabulary=49152,
        tied=True,
    ),
    "qwen2-1.5b": ModelShape(
        layers=28,
        hidden=1536,
        heads=12,
        kv_heads=2,
        head_dim=128,
        intermediate=8960,
        vocabulary=151936,
        tied=True,
    ),
    "gemma-2-2b": ModelShape(
        layers=26,
        hidden=2304,
        heads=8,
        kv_heads=4,
        head_dim=256,
        intermediate=9216,
        vocabulary=256000,
        tied=True,
    ),
    "gemma-2-9b": ModelShape(
        layers=42,
        hidden=3584,
        heads=16,
        kv_heads=8,
        head_dim=256,
        intermediate=14336,
        vocabulary=256000,
        tied=True,
    ),
    "llama-2-7b": ModelShape(
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=32,
        head_dim=128,
        intermediate=11008,
        vocabulary=32000,
    ),
    "llama-3.1-8b": ModelShape(
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocabulary=128256,
    ),
    "llama-3.1-70b": ModelShape(
        layers=80,
        hidden=8192,
        heads=64,
        kv_heads=8,
        head_dim=128,
        intermediate=28672,
        vocabulary=128256,
    ),
    "mixtral-8x7b": ModelShape(
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocabulary=32000,
        experts=8,
        active=2,
    ),
}
#: Shorter names of some of them.
SHORT = {"8b": "llama-3.1-8b", "70b": "llama-3.1-70b", "demo": "smollm2-135m"}
_TYPED = "layers=80,hidden=8192,heads=64,kv_heads=8,intermediate=28672,vocabulary=128256"


def shape_of(model: str, read: Callable[[str], ModelShape]) -> ModelShape:
    """The shape that a user's text describes; raises ModelError.

    ``model`` is a name in KNOWN or SHORT, dimensions such as ``layers=2,hidden=64,...``, or a local
    folder, .gguf file or hub id, whose configuration ``read`` reads.
    """
    name = SHORT.get(model.lower(), model.lower())
    if name in KNOWN:
        return KNOWN[name]
    if "=" in model:
        return _typed(model)
    if not (Path(model).expanduser().exists() or "/" in model or model.endswith(".gguf")):
        raise ModelError(
            f"Unknown model {model!r} (give a known name, a folder, a hub id or dimensions, such "
            f"as {_TYPED}): {nearest(model, [*KNOWN, *SHORT])}"
        )
    return read(model)


def config_shape(config: Any, name: str = "This model") -> ModelShape:
    """The shape that a configuration of the transformers library describes.

    Missing values get the usual defaults: heads that share the hidden width, keys and values for
    every head, an MLP four times as wide. Raises ModelError if the number or width of the layers is
    missing.
    """
    text = config.get_text_config()

    def number(*keys: str) -> int | None:
        values = (getattr(text, key, None) for key in keys)
        return next((value for value in values if isinstance(value, int) and value > 0), None)

    layers, hidden = number("num_hidden_layers"), number("hidden_size")
    if layers is None or hidden is None:
        raise ModelError(
            f"The configuration of {name!r} does not give the number and the width of its layers: "
            f"give the dimensions instead, such as {_TYPED}."
        )
    heads = number("num_attention_heads") or 1
    experts = number("num_local_experts", "num_experts", "n_routed_experts") or 1
    active = number("num_experts_per_tok", "num_experts_per_token") or 1
    own = number("moe_intermediate_size") if experts > 1 else None
    activations = (getattr(text, key, None) for key in ("hidden_act", "hidden_activation"))
    kind = getattr(text, "model_type", "")
    return ModelShape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=number("num_key_value_heads") or heads,
        head_dim=number("head_dim") or hidden // heads,
        intermediate=own or number("intermediate_size", "ffn_dim", "n_inner") or 4 * hidden,
        vocabulary=number("vocab_size") or 0,
        gated=any(activation in GATED_ACTIVATIONS for activation in activations)
        and kind not in UNGATED_TYPES,
        tied=bool(getattr(config, "tie_word_embeddings", False)),
        experts=experts,
        active=min(active, experts),
    )


def _typed(dimensions: str) -> ModelShape:
    """Parse comma-separated ``key=value`` pairs; defaults are those of ``config_shape``."""
    given: dict[str, int] = {}
    known = [field.name for field in fields(ModelShape)]
    for pair in dimensions.split(","):
        key, _, value = (part.strip() for part in pair.partition("="))
        if key not in known:
            raise ModelError(f"A model's shape has no {key!r}: {nearest(key, known)}")
        if not value.isdecimal() or (int(value) == 0 and key not in {"gated", "tied"}):
            raise ModelError(f"{key} cannot be {value!r} in a model's shape: give a whole number.")
        given[key] = int(value)
    for key in ("layers", "hidden"):
        if key not in given:
            raise ModelError(f"{key} is missing in the shape {dimensions!r}: write it as {_TYPED}.")
    heads = given.get("heads", max(1, given["hidden"] // 128))
    usual = ModelShape(
        layers=given["layers"],
        hidden=given["hidden"],
        heads=heads,
        kv_heads=heads,
        head_dim=max(1, given["hidden"] // heads),
        intermediate=4 * given["hidden"],
        vocabulary=32000,
    )
    typed: dict[str, Any] = {**asdict(usual), **given}
    flags = {key: bool(typed[key]) for key in ("gated", "tied")}
    return replace(usual, **{**typed, **flags})
