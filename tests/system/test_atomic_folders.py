"""Folders are replaced as a whole, with and without the system's own exchange."""

from pathlib import Path

import pytest

from gradpipe.system import atomic_folders
from gradpipe.system.atomic_folders import put_folder_in_place


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic_folders, "_exchanged", lambda *_: False)
    new, folder = tmp_path / "new", tmp_path / "folder"
    for text in ("first", "second"):
        new.mkdir(exist_ok=True)
        (new / text).write_text(text)
        put_folder_in_place(new, folder)
        assert (folder / text).read_text() == text
    assert not (folder / "first").exists()
