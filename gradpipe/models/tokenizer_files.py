"""The tokenizer of a model: which files it has, and which other tokenizer takes its place."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from gradpipe.errors import ModelError
from gradpipe.models.source import ModelSource, is_local_path, resolve_model

#: Files with a vocabulary, of which every tokenizer needs one.
VOCABULARIES = (
    *("tokenizer.json", "tokenizer.model*", "*.model", "*.spm", "*.tiktoken", "tekken.json"),
    *("vocab*", "merges.txt", "*.vocab"),
)
#: All files that decide how a text becomes tokens.
TOKENIZER_FILES = (
    *VOCABULARIES,
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "*.jinja"),
)
_CONFIG = "tokenizer_config.json"
#: Vocabularies that transformers converts with another package.
_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
#: Tokenizers of bytes or characters, which have no vocabulary.
_WITHOUT_VOCABULARY = ("ByT5Tokenizer", "PerceiverTokenizer", "CanineTokenizer")
#: Checkpoints as a Trainer names them, in the folder into which a run may save its tokenizer.
_CHECKPOINT = re.compile(r"checkpoint-\d+")


def tokenizer_files(folder: Path, patterns: Iterable[str] = TOKENIZER_FILES) -> list[Path]:
    """Return the files of a tokenizer in a folder, sorted by name."""
    wanted = tuple(patterns)
    try:
        with os.scandir(folder) as entries:
            return sorted(
                folder / entry.name
                for entry in entries
                if any(fnmatchcase(entry.name, pattern) for pattern in wanted) and entry.is_file()
            )
    except OSError:
        # Training deletes old checkpoints at any moment.
        return []


def has_tokenizer(source: ModelSource) -> bool:
    """Return whether a pinned model comes with a tokenizer of its own.

    If a file cannot be read or the hub cannot be asked, it counts as having one: loading it reports
    what is missing.
    """
    if source.kind == "gguf":
        # Imported here, since it imports numpy's types and is needed once per file.
        from gradpipe.untrusted.gguf_header import read_header_text

        try:
            names = ("general.architecture", "tokenizer.ggml.model")
            model, tokenizer = (read_header_text(Path(source.id), name) for name in names)
            # Without an architecture the file is damaged, and loading it says so.
            return model is None or tokenizer is not None
        except ModelError:
            return True
    if source.kind == "folder":
        folder = Path(source.id)
        if tokenizer_files(folder, VOCABULARIES):
            return True
        return _text_setting(folder / _CONFIG, "tokenizer_class") in _WITHOUT_VOCABULARY
    # Imported here, since it takes a quarter of a second and local models do not need it.
    from gradpipe.models.hub import hub_file

    try:
        return any(
            hub_file(source, name) for name in (_CONFIG, "tokenizer.json", "tokenizer.model")
        )
    except ModelError:
        return True


def resolve_tokenizer(tokenizer: str) -> ModelSource:
    """Resolve the name of a tokenizer: a folder, a .gguf file, ``ORG/NAME``, ``ORG/NAME@REVISION``.

    Folders need no model beside the tokenizer. Raises ModelError if it does
    not exist.
    """
    if tokenizer == "demo" or not is_local_path(tokenizer):
        name, _, revision = tokenizer.partition("@")
        return resolve_model(name, revision or None)
    path = Path(os.path.expanduser(tokenizer)).resolve()
    if path.is_file():
        if path.suffix == ".gguf":
            return resolve_model(tokenizer)
        raise ModelError(f"{tokenizer!r} is a file: give the folder of the tokenizer instead.")
    source = ModelSource("folder", str(path))
    if not has_tokenizer(source):
        what = "has no tokenizer.json or other vocabulary" if path.is_dir() else "does not exist"
        raise ModelError(f"{tokenizer!r} {what}: give the folder of a tokenizer, or a hub id.")
    return source


def nearby_tokenizer(source: ModelSource) -> ModelSource | None:
    """Return the tokenizer of a local checkpoint's run or of the model it started from, or None.

    These are the folder around ``checkpoint-N``, and the local folder that older versions of
    transformers note in config.json.
    """
    if source.kind != "folder":
        return None
    folder = Path(source.id)
    earlier = _text_setting(folder / "config.json", "_name_or_path")
    places = [folder.parent] if _CHECKPOINT.fullmatch(folder.name) else []
    if earlier and os.path.isabs(earlier):
        places.append(Path(earlier))
    candidates = [ModelSource("folder", str(place)) for place in places if _is_folder(place)]
    return next(filter(has_tokenizer, candidates), None)


def missing_tokenizer(name: str, source: ModelSource) -> ModelError:
    """Return the error for a model for which no tokenizer is known."""
    earlier = _text_setting(Path(source.id) / "config.json", "_name_or_path")
    start = f" (its configuration names {earlier!r})" if earlier and source.kind == "folder" else ""
    return ModelError(
        f"The tokenizer of {name!r} is missing, neither a tokenizer.json nor another vocabulary is "
        f"there: name that of the model it was trained from{start} with `tokenizer:` in the study, "
        "with --tokenizer, or with load_model(..., tokenizer=...)."
    )


def unread_sentencepiece(source: ModelSource, name: str) -> ModelError | None:
    """Return the error for a tokenizer that is a SentencePiece file alone; None for any other."""
    if source.kind != "folder":
        return None
    folder = Path(source.id)
    files = [file for file in _SENTENCEPIECE if (folder / file).is_file()]
    if not files or (folder / "tokenizer.json").is_file():
        return None
    installed = importlib.util.find_spec("sentencepiece") is not None
    reason = (
        "the installed packages sentencepiece and protobuf cannot read it"
        if installed
        else "reading it needs the package sentencepiece, which is not installed"
    )
    cure = "install versions of both that fit" if installed else "`pip install sentencepiece`"
    return ModelError(
        f"The tokenizer of {name!r} is {files[0]} alone, and {reason}: {cure}, or name a tokenizer "
        "with a tokenizer.json by `tokenizer:` in the study or by --tokenizer."
    )


def tokenizer_note(source: ModelSource, name: str) -> str | None:
    """Return a sentence on the tokenizer that replaces a pinned model's own, or None."""
    if source.tokenizer is None:
        return None
    why = "instead of its own" if has_tokenizer(source) else "since it comes without a tokenizer"
    other = source.tokenizer
    revision = f" at {other.revision}" if other.revision else ""
    return f"{name} uses the tokenizer of {other.id}{revision}, {why}."


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except (OSError, ValueError):
        return False


def _text_setting(file: Path, key: str) -> str | None:
    """Return a text in a JSON file; None if it, or the file, is missing or unreadable."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) and value else None
