"""What goes wrong with a workspace behind a URL is said in one sentence, without its secrets."""

import errno
import sys
from typing import Any

import pytest

from gradpipe.errors import WorkspaceError
from gradpipe.studies.load import load_study
from storage.locations import open_location
from storage.workspace import Workspace


def refusal(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRADPIPE_HOME", url)
    with pytest.raises(WorkspaceError) as refused:
        Workspace.current()
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://nowhere/ws", "no bucket 'nowhere' for s3://nowhere/ws: create it"),
        ("s3://", "names no bucket: give s3://BUCKET/FOLDER"),
        ("s4://bucket/ws", "of the kind 's4'"),
        ("sftp://host/ws", "mount it"),
        ("simplecache::s3://bucket/ws", "of the kind 'simplecache::s3'"),
        ("s3://No_Bucket!/ws", "Invalid bucket name"),
    ],
)
def test_a_url_that_cannot_hold_a_workspace_is_refused(
    s3: str, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    assert words in refusal(url, monkeypatch)


@pytest.mark.parametrize(
    "url", ["s3://me:hush@bucket/ws", "gs://me:hu/sh@bucket", "sftp://a:hush@h"]
)
def test_a_password_in_the_url_is_never_said_again(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    message = refusal(url, monkeypatch)
    assert "hu" not in message
    assert "@" not in message


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.registry import _registry

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert refusal("gs://bucket", monkeypatch) == "gcsfs is not installed: pip install gcsfs"
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    refused = refusal("s3://bucket", monkeypatch)
    assert refused == 's3fs is not installed: pip install "gradpipe[s3]"'


def test_credentials_that_are_missing_are_asked_for(
    unconnected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    message = refusal(unconnected, monkeypatch)
    assert "no usable credentials): set AWS_ACCESS_KEY_ID" in message
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "no usable credentials" in refusal(f"{unconnected}/other", monkeypatch)


def test_a_store_out_of_reach_is_said_to_be_so(
    unconnected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "cannot be reached): check the network" in refusal(unconnected, monkeypatch)


@pytest.mark.parametrize(
    ("error", "words", "transient"),
    [
        (PermissionError("Forbidden"), "access is denied): check the credentials", False),
        (OSError(5, "Ask http://me:hush@host/x\n"), "(Ask http://host/x): check the", False),
        (OSError(errno.EBUSY, "Slow down."), "(Slow down): check", True),
        (ConnectionResetError("gone"), "cannot be reached): check the network", True),
        (ValueError(""), "(ValueError): check the address", False),
    ],
)
def test_what_a_store_answers_is_one_sentence(
    s3: str, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str, transient: bool
) -> None:
    workspace = Workspace(open_location(s3))
    root: Any = workspace.root

    def failing(*_: Any, **__: Any) -> None:
        raise error

    for name in ("cat_file", "pipe_file", "ls", "find"):
        monkeypatch.setattr(root.fs, name, failing)
    for action in (
        workspace.study,
        workspace.report_notes().notes,
        workspace.spectra("m", "b").keys,
        lambda: workspace.keep_study(load_study("demo")),
        lambda: workspace.delete_model("m"),
    ):
        with pytest.raises(WorkspaceError) as refused:
            action()
        assert words in str(refused.value)
        assert "hush" not in str(refused.value)
        assert refused.value.transient is transient
