"""Small random models of many families, and tokenizers built on the spot."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from gradpipe.gradients.spectra.sketches import STEPS
from gradpipe.gradients.tokens import TokenRow

VOCABULARY = 270
LLAMA_LIKE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT_LIKE = {
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
#: Heads wider than hidden / heads make O's gradient oblong; short windows reach into every row.
WIDE = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}
EXPERTS |= {"moe_intermediate_size": 16}
#: Keys of 8 + 4 columns a head, values of 6; its first layer is dense, the second a mixture.
LATENT = {"q_lora_rank": 12, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8}
LATENT |= {"v_head_dim": 6, "n_routed_experts": 4, "n_group": 1, "topk_group": 1}
LATENT |= {"first_k_dense_replace": 1, "num_key_value_heads": 4}
#: Recurrent layers between those with attention; their norms have gates.
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
DELTA |= {"linear_value_head_dim": 8, "linear_conv_kernel_dim": 4, "head_dim": 16}
DELTA |= {"layer_types": ["linear_attention", "full_attention"]}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
MAMBA |= {"mamba_expand": 2, "mamba_chunk_size": 16}
#: By family, and behind it what of its kinds this is.
SETTINGS: dict[str, dict[str, Any]] = {
    "llama": LLAMA_LIKE | {"num_hidden_layers": 3},
    "llama tied": LLAMA_LIKE | {"tie_word_embeddings": True, "attention_bias": True},
    "qwen2": LLAMA_LIKE | {"hidden_size": 48},
    "qwen3": LLAMA_LIKE | {"head_dim": 16},
    "gemma": LLAMA_LIKE | {"head_dim": 16, "num_key_value_heads": 1},
    "gemma2": LLAMA_LIKE | WIDE,
    "gemma3_text": LLAMA_LIKE | WIDE | {"num_key_value_heads": 1},
    "mistral": LLAMA_LIKE | {"sliding_window": 8},
    "olmo2": LLAMA_LIKE | {"num_key_value_heads": 4},
    "phi": LLAMA_LIKE,
    "phi3": LLAMA_LIKE,
    "glm4": LLAMA_LIKE | {"head_dim": 8},
    "cohere": LLAMA_LIKE,
    "granite": LLAMA_LIKE | {"logits_scaling": 4.0, "embedding_multiplier": 2.0},
    "modernbert-decoder": LLAMA_LIKE | {"cls_token_id": 1, "sep_token_id": 2},
    "opt": LLAMA_LIKE | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "gpt2": GPT_LIKE,
    "gpt_neox": LLAMA_LIKE | {"hidden_size": 48},
    "persimmon": LLAMA_LIKE,
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "falcon": LLAMA_LIKE,
    "falcon by_head": LLAMA_LIKE | {"multi_query": False, "bias": True, "alibi": True},
    "falcon grouped": LLAMA_LIKE | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 128},
    "codegen": GPT_LIKE | {"n_ctx": 128, "rotary_dim": 4, "n_head": 8},
    "gpt_bigcode": GPT_LIKE,
    "gpt_bigcode by_head": GPT_LIKE | {"multi_query": False},
    "mixtral": LLAMA_LIKE | EXPERTS,
    "qwen2_moe": LLAMA_LIKE | EXPERTS | {"shared_expert_intermediate_size": 24},
    "qwen3_moe": LLAMA_LIKE | EXPERTS | {"head_dim": 16},
    "olmoe": LLAMA_LIKE | EXPERTS,
    "gpt_oss": LLAMA_LIKE | EXPERTS | {"head_dim": 8, "sliding_window": 8},
    "deepseek_v2": LLAMA_LIKE | EXPERTS | LATENT,
    "deepseek_v3": LLAMA_LIKE | EXPERTS | LATENT,
    "qwen3_5_text": LLAMA_LIKE | DELTA,
    "qwen3_next": LLAMA_LIKE | DELTA | EXPERTS | {"mlp_only_layers": [0, 1]},
    "bamba": LLAMA_LIKE | MAMBA | {"attn_layer_indices": [1]},
    "falcon_h1": LLAMA_LIKE | MAMBA | {"mamba_d_ssm": 64, "mamba_rms_norm": True},
}

#: The families of every run, with what only their code has. Those of `make test-all` have the same
#: under other names, in other sizes or in other combinations.
EVERY_RUN = {
    "llama": "layers apart, grouped keys, a gated MLP",
    "llama tied": "a head that shares its weights with the embeddings, biases",
    "qwen3": "norms of queries and keys, heads wider than the hidden size",
    "gemma2": "soft caps, windows, norms that multiply by one more than their weight",
    "cohere": "attention beside the MLP, norms that take the mean away, scaled logits",
    "phi3": "q, k and v in one layer, gate and up in another",
    "modernbert-decoder": "a decoder that is not the model's base",
    "phi": "a head with a bias, an MLP without a gate",
    "gpt2": "transposed weights (Conv1D)",
    "gpt_neox": "q, k and v in one layer, head by head",
    "falcon grouped": "q, k and v in one layer, group by group",
    "gpt_bigcode": "q of all heads and one key and value in one layer",
    "codegen": "q, k and v in one layer, by parts of a machine",
    "mixtral": "experts",
    "gpt_oss": "experts with biases, gate and up interleaved",
    "qwen3_next": "recurrent layers, and experts",
    "bamba": "state-space layers",
}


def families(names: Iterable[str]) -> list[Any]:
    """Parameters: the families of every run, and the others marked as slow."""
    slow = pytest.mark.slow
    return [name if name in EVERY_RUN else pytest.param(name, marks=slow) for name in names]


def combinations(
    names: Iterable[str], others: Iterable[Any], also: Iterable[tuple[str, Any]] = ()
) -> list[Any]:
    """Parameters: pairs of a family and something that hardly depends on it.

    Every run has Llama with everything, each other family with the first of ``others``, and the
    pairs in ``also``; the rest is marked as slow.
    """
    settings, more = list(others), set(also)
    quick = {("llama", other) for other in settings} | {(name, settings[0]) for name in names}
    return [
        pytest.param(*pair, marks=() if pair in quick | more else pytest.mark.slow)
        for pair in product(names, settings)
    ]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices on one thread: two that wait for each other take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """A function from a family's name to a small random model of it, in evaluation mode."""

    def make(family: str, dtype: torch.dtype = torch.float32, **settings: Any) -> Any:
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            family.partition(" ")[0], **{"vocab_size": VOCABULARY, **SETTINGS[family], **settings}
        )
        # Experts one after the other: grouped, they have no float64.
        model = AutoModelForCausalLM.from_config(config, experts_implementation="eager")
        # Fresh weights are so small, and biases so zero, that layers hardly matter.
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn(parameter.shape))
        return model.to(dtype).eval()

    return make


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., list[TokenRow]]:
    """A function from (tokens, start) pairs to rows of random tokens."""

    def make(*shapes: tuple[int, int], seed: int = 0) -> list[TokenRow]:
        generator = torch.Generator().manual_seed(seed)
        return [
            TokenRow(
                torch.randint(3, VOCABULARY, (tokens,), generator=generator).tolist(), start, False
            )
            for tokens, start in shapes
        ]

    return make


#: Writes BOS itself, as Llama's and Gemma's templates do.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}]{{ message.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """A function that builds a byte-level tokenizer: a token a byte, and what ``merges`` join.

    ``bos``: whether encoding adds the BOS token (id 256).
    """

    def make(
        *merges: tuple[str, str], bos: bool = False, template: str | None = None
    ) -> PreTrainedTokenizerFast:
        words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "<s>", *map("".join, merges)]
        tokenizer = Tokenizer(
            models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[*merges])
        )
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = ByteLevelDecoder()
        tokenizer.add_special_tokens([AddedToken("<s>", special=True)])
        if bos:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<s> $A", special_tokens=[("<s>", words.index("<s>"))]
            )
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", chat_template=template
        )

    return make


@pytest.fixture(scope="session")
def template() -> str:
    return TEMPLATE


@pytest.fixture(scope="session")
def tiny_folder(
    make_model: Callable[..., Any],
    make_tokenizer: Callable[..., PreTrainedTokenizerFast],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder with a small random Llama and a tokenizer without a chat template."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_model("llama").save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def assert_same_gradients(found: pl.DataFrame, expected: pl.DataFrame, rel: float) -> None:
    """Both frames, one row a gradient, are equal but for the rounding that a batch's shape decides.

    A singular value may be off by so much of the largest one, a sketch's number by one step. How
    many zeros come behind the others is chance.
    """
    names = ("singular_values", "sketch")
    assert_frame_equal(found.drop(names), expected.drop(names), rel_tol=rel, abs_tol=rel)
    for name, slack in (("singular_values", 0.0), ("sketch", 1.001 / STEPS)):
        for some, others in zip(found[name], expected[name], strict=True):
            if some is None or others is None:
                assert some is others
                continue
            width = max(len(some), len(others))
            pair = [np.pad(each.to_numpy(), (0, width - len(each))) for each in (some, others)]
            gap = np.abs(pair[0].astype(float) - pair[1].astype(float)).max(initial=0.0)
            assert gap <= max(slack, rel * np.abs(pair[1]).max(initial=0.0)), name
