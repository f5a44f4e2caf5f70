"""Merge the parts of a .gguf model into one file, since transformers reads single files only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter, Keys

#: Keys that the writer sets itself, or that a whole file does not have.
_NOT_COPIED = (Keys.General.ARCHITECTURE, Keys.General.ALIGNMENT)
_NOT_COPIED_PREFIXES = ("GGUF.", "split.")


def merge_parts(parts: Sequence[Path], merged: Path) -> None:
    """Write the metadata of the first part and the tensors of all parts into ``merged``.

    The headers have been checked. Raises ValueError for a tensor that several parts have, and
    OSError if the file cannot be written.
    """
    readers = [GGUFReader(part) for part in parts]
    architecture = readers[0].get_field(Keys.General.ARCHITECTURE)
    if architecture is None:
        raise ValueError(f"{parts[0].name} names no architecture")
    writer = GGUFWriter(merged, architecture.contents())
    for key, field in readers[0].fields.items():
        if key in _NOT_COPIED or key.startswith(_NOT_COPIED_PREFIXES):
            continue
        kind = field.types[0]
        entries = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=entries)
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    for tensor in tensors:
        data = tensor.data
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        writer.write_tensor_data(tensor.data)
    writer.close()
