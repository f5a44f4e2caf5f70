"""A model's shape: all that its costs depend on, known without its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from gradpipe.errors import ModelError, nearest

#: Activation functions that come with a gate, and model types that use one of them without.
GATED = {"silu", "swish", "gelu_pytorch_tanh"}
UNGATED_TYPES = {"starcoder2", "gpt_bigcode", "phi", "gpt2"}


@dataclass(frozen=True)
class ModelShape:
    """The widths of a decoder. ``experts`` MLPs of ``intermediate`` each, ``active`` a token."""

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
        """Weights that are kept: every expert, embeddings and head; norms are not counted."""
        layer = self.attention_weights + self.experts * self.mlp_weights + self._router
        return self.layers * layer + (1 if self.tied else 2) * self.vocabulary * self.hidden

    @property
    def weights_a_token(self) -> int:
        """Weights that each token is multiplied with in the layers; the head is apart."""
        layer = self.attention_weights + self.active * self.mlp_weights + self._router
        return self.layers * layer

    @property
    def _router(self) -> int:
        return self.hidden * self.experts if self.experts > 1 else 0

    def projection(self, name: str) -> tuple[int, int]:
        """(d_out, d_in) of a projection's weight."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q": (queries, self.hidden),
            "k": (keys, self.hidden),
            "v": (keys, self.hidden),
            "o": (self.hidden, queries),
            "gate": (self.intermediate, self.hidden),
            "up": (self.intermediate, self.hidden),
            "down": (self.hidden, self.intermediate),
        }[name]


#: Well-known models by the configurations that were published with them.
KNOWN = {
    "smollm2-135m": ModelShape(30, 576, 9, 3, 64, 1536, 49152, tied=True),
    "qwen2-1.5b": ModelShape(28, 1536, 12, 2, 128, 8960, 151936, tied=True),
    "gemma-2-2b": ModelShape(26, 2304, 8, 4, 256, 9216, 256000, tied=True),
    "gemma-2-9b": ModelShape(42, 3584, 16, 8, 256, 14336, 256000, tied=True),
    "llama-2-7b": ModelShape(32, 4096, 32, 32, 128, 11008, 32000),
    "llama-3.1-8b": ModelShape(32, 4096, 32, 8, 128, 14336, 128256),
    "llama-3.1-70b": ModelShape(80, 8192, 64, 8, 128, 28672, 128256),
    "mixtral-8x7b": ModelShape(32, 4096, 32, 8, 128, 14336, 32000, experts=8, active=2),
}
#: Shorter names of some of them.
SHORT = {"8b": "llama-3.1-8b", "70b": "llama-3.1-70b", "demo": "smollm2-135m"}
_TYPED = "layers=80,hidden=8192,heads=64,kv_heads=8,intermediate=28672,vocabulary=128256"


def shape_of(model: str, read: Callable[[str], ModelShape] | None = None) -> ModelShape:
    """The shape that a user asks for: a name of KNOWN, widths such as ``layers=2,hidden=64,...``,
    or whatever ``read_shape`` reads (a local folder, a .gguf file, a hub id).

    Raises ModelError.
    """
    name = SHORT.get(model.lower(), model.lower())
    if name in KNOWN:
        return KNOWN[name]
    if "=" in model:
        return _typed(model)
    if not (Path(model).expanduser().exists() or "/" in model or model.endswith(".gguf")):
        raise ModelError(
            f"There is no shape {model!r} (a folder, a hub id or widths such as {_TYPED} would do "
            f"too): {nearest(model, [*KNOWN, *SHORT])}"
        )
    return (read or read_shape)(model)


def read_shape(model: str, revision: str | None = None) -> ModelShape:
    """A model's shape from its configuration alone; raises ModelError."""
    from gradpipe.models.load import load_config

    return config_shape(load_config(model, revision), model)


def config_shape(config: Any, name: str = "This model") -> ModelShape:
    """The shape that a configuration of the transformers library describes.

    Missing values get the usual defaults: heads that share the hidden width, keys and values
    of every head, an MLP four times as wide. Raises ModelError if the number or width of
    the layers is missing.
    """
    text = config.get_text_config()

    def said(*keys: str) -> int | None:
        found = (getattr(text, key, None) for key in keys)
        return next((value for value in found if isinstance(value, int) and value > 0), None)

    layers, hidden = said("num_hidden_layers"), said("hidden_size")
    if layers is None or hidden is None:
        raise ModelError(
            f"The configuration of {name!r} does not say how many layers there are, or how wide: "
            f"give its widths instead, such as {_TYPED}."
        )
    heads = said("num_attention_heads") or 1
    experts = said("num_local_experts", "num_experts", "n_routed_experts") or 1
    active = said("num_experts_per_tok", "num_experts_per_token") or 1
    own = said("moe_intermediate_size") if experts > 1 else None
    words = (getattr(text, key, None) for key in ("hidden_act", "hidden_activation"))
    kind = getattr(text, "model_type", "")
    return ModelShape(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=said("num_key_value_heads") or heads,
        head_dim=said("head_dim") or hidden // heads,
        intermediate=own or said("intermediate_size", "ffn_dim", "n_inner") or 4 * hidden,
        vocabulary=said("vocab_size") or 0,
        gated=any(word in GATED for word in words) and kind not in UNGATED_TYPES,
        tied=bool(getattr(config, "tie_word_embeddings", False)),
        experts=experts,
        active=min(active, experts),
    )


def _typed(words: str) -> ModelShape:
    """Parse comma-separated ``key=value`` pairs; defaults are those of ``config_shape``."""
    given: dict[str, int] = {}
    known = [field.name for field in fields(ModelShape)]
    for word in words.split(","):
        key, _, value = (part.strip() for part in word.partition("="))
        if key not in known:
            raise ModelError(f"A model's shape has no {key!r}: {nearest(key, known)}")
        if not value.isdecimal() or (int(value) == 0 and key not in {"gated", "tied"}):
            raise ModelError(f"A model's {key} cannot be {value!r}: give a whole number from 1 on.")
        given[key] = int(value)
    for key in ("layers", "hidden"):
        if key not in given:
            raise ModelError(f"The shape {words!r} lacks {key}: write it as {_TYPED}.")
    heads = given.get("heads", max(1, given["hidden"] // 128))
    usual = ModelShape(
        given["layers"],
        given["hidden"],
        heads,
        heads,
        max(1, given["hidden"] // heads),
        4 * given["hidden"],
        32000,
    )
    typed: dict[str, Any] = {**asdict(usual), **given}
    flags = {key: bool(typed[key]) for key in ("gated", "tied")}
    return replace(usual, **{**typed, **flags})
