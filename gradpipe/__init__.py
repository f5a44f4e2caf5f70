"""What a training example does to a language model, layer by layer: gradients and their spectra."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradpipe.standalone.notebook import extract_spectra

__all__ = ["extract_spectra"]


def __getattr__(name: str) -> Any:
    # Imported at first use: `import gradpipe` must cost nothing.
    if name == "extract_spectra":
        from gradpipe.standalone.notebook import extract_spectra

        return extract_spectra
    raise AttributeError(f"module 'gradpipe' has no attribute {name!r}")
