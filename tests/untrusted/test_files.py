"""Files from outside are read where they end, and no further than they may be long."""

import errno
import os
from pathlib import Path

import pytest

from gradpipe.untrusted.files import read_regular


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    (tmp_path / "link").symlink_to(file)
    assert read_regular(file, 5) == read_regular(tmp_path / "link", 99) == b"12345"
    with pytest.raises(OSError, match="larger than the limit of 4 bytes") as caught:
        read_regular(file, 4)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "socket"])
def test_what_may_never_end_is_not_opened(place: str, tmp_path: Path) -> None:
    import socket

    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="a pipe, device or socket, not an ordinary file"):
            read_regular(tmp_path / place, 5)


def test_a_folder_and_nothing_are_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 5)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 5)
