"""Quantized copies of small models, written by hand, and their weights decoded number by number."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.models.conftest import configure

#: Weights and what is stored in their place, by name; and the settings in config.json.
Stored = dict[str, Tensor]
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
BLOCK = 16


def quantize_folder(
    folder: Path, settings: dict[str, Any], encode: Callable[[str, Tensor], Stored]
) -> Stored:
    """Replace the linear weights of the decoder layers; return the file's new content."""
    weights = load_file(folder / "model.safetensors")
    stored: Stored = {}
    for name, weight in weights.items():
        is_linear = ".layers." in name and weight.ndim == 2
        stored |= encode(name, weight) if is_linear else {name: weight}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    configure(folder, quantization_config=settings)
    return stored


def encode_fp8(name: str, weight: Tensor) -> Stored:
    """Blocks of BLOCK × BLOCK numbers of 8 bits with one scale each."""
    rows, columns = (size // BLOCK for size in weight.shape)
    blocks = weight.view(rows, BLOCK, columns, BLOCK)
    scales = blocks.abs().amax(dim=(1, 3)) / 448
    coded = (blocks / scales[:, None, :, None]).reshape(weight.shape).to(torch.float8_e4m3fn)
    return {name: coded, f"{name}_scale_inv": scales}


def decode_fp8(stored: Stored, name: str) -> Tensor:
    coded, scales = stored[name], stored[f"{name}_scale_inv"]
    values = torch.empty(coded.shape, dtype=torch.float64)
    for row, column in product(*map(range, coded.shape)):
        scale = float(scales[row // BLOCK, column // BLOCK])
        values[row, column] = float(coded[row, column]) * scale
    return values


FP8 = {
    "quant_method": "fp8",
    "weight_block_size": [BLOCK, BLOCK],
    "activation_scheme": "dynamic",
    "modules_to_not_convert": ["lm_head"],
}


def decode_mxfp4(blocks: Tensor, scales: Tensor) -> Tensor:
    """[..., groups, 16] bytes of two numbers, [..., groups] exponents: [..., 32 groups]."""
    values = torch.empty(*scales.shape, 32, dtype=torch.float64)
    for place in product(*map(range, blocks.shape)):
        byte, scale = int(blocks[place]), 2.0 ** (int(scales[place[:-1]]) - 127)
        values[(*place[:-1], 2 * place[-1])] = FP4[byte & 15] * scale
        values[(*place[:-1], 2 * place[-1] + 1)] = FP4[byte >> 4] * scale
    return values.flatten(-2)


def compressed(format_name: str, **weights: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": {"symmetric": True, "dynamic": False, **weights}}
    return {
        "quant_method": "compressed-tensors",
        "format": format_name,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
    }


INT4 = compressed("pack-quantized", num_bits=4, type="int", strategy="group", group_size=BLOCK)
INT8 = compressed("int-quantized", num_bits=8, type="int", strategy="channel")
FLOAT8 = compressed("float-quantized", num_bits=8, type="float", strategy="channel")


def encode_int4(name: str, weight: Tensor) -> Stored:
    """Eight numbers of 4 bits per integer, the first in its lowest bits."""
    groups = weight.view(weight.shape[0], -1, BLOCK)
    scales = groups.abs().amax(dim=2) / 7
    codes = (groups / scales[:, :, None]).round().clamp(-8, 7).long().view(weight.shape) + 8
    shifts = torch.arange(8) * 4
    packed = (codes.view(weight.shape[0], -1, 8) << shifts).sum(dim=2)
    signed = torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
    stem = name.removesuffix("weight")
    return {
        f"{stem}weight_packed": signed,
        f"{stem}weight_scale": scales,
        f"{stem}weight_shape": torch.tensor(weight.shape),
    }


def decode_int4(stored: Stored, name: str) -> Tensor:
    packed, scales = stored[f"{name}_packed"], stored[f"{name}_scale"]
    rows, columns = stored[f"{name}_shape"].tolist()
    values = torch.empty(rows, columns, dtype=torch.float64)
    for row, column in product(range(rows), range(columns)):
        word = int(packed[row, column // 8]) % 2**32
        code = (word >> (4 * (column % 8))) % 16 - 8
        values[row, column] = code * float(scales[row, column // BLOCK])
    return values


def encode_channels(dtype: torch.dtype) -> Callable[[str, Tensor], Stored]:
    """One scale per output."""
    largest = 127.0 if dtype == torch.int8 else 448.0

    def encode(name: str, weight: Tensor) -> Stored:
        scales = weight.abs().amax(dim=1, keepdim=True) / largest
        codes = weight / scales
        rounded = codes.round() if dtype == torch.int8 else codes
        return {name: rounded.to(dtype), f"{name}_scale": scales}

    return encode


def decode_channels(stored: Stored, name: str) -> Tensor:
    coded, scales = stored[name], stored[f"{name}_scale"]
    rows = zip(coded.float().tolist(), scales.flatten().tolist(), strict=True)
    return torch.tensor([[value * scale for value in row] for row, scale in rows])


METAL = {
    "quant_method": "metal",
    "bits": 4,
    "group_size": 16,
    "modules_to_not_convert": ["lm_head"],
}


def encode_metal(name: str, weight: Tensor) -> Stored:
    """Eight numbers of 4 bits per integer; scale · code + bias per group of 16."""
    groups = weight.view(weight.shape[0], -1, BLOCK)
    low, high = groups.amin(dim=2), groups.amax(dim=2)
    scales = (high - low) / 15
    codes = ((groups - low[:, :, None]) / scales[:, :, None]).round().long().view(weight.shape)
    packed = (codes.view(weight.shape[0], -1, 8) << (torch.arange(8) * 4)).sum(dim=2)
    stem = name.removesuffix("weight")
    return {
        name: packed.to(torch.uint32),
        f"{stem}scales": scales,
        f"{stem}qbiases": low.contiguous(),
    }


def decode_metal(stored: Stored, name: str) -> Tensor:
    stem, packed = name.removesuffix("weight"), stored[name]
    scales, biases = stored[f"{stem}scales"], stored[f"{stem}qbiases"]
    values = torch.empty(packed.shape[0], 8 * packed.shape[1], dtype=torch.float64)
    for row, column in product(*map(range, values.shape)):
        code = (int(packed[row, column // 8]) >> (4 * (column % 8))) % 16
        group = row, column // BLOCK
        values[row, column] = code * float(scales[group]) + float(biases[group])
    return values
