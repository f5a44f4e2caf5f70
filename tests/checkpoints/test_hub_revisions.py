"""The revisions of a hub model, as the hub's client reports them."""

from typing import Any

import pytest
from huggingface_hub import GitRefInfo, GitRefs, HfApi, constants
from huggingface_hub.errors import HFValidationError

from gradpipe.checkpoints.hub_revisions import checkpoints_of_revisions, list_revisions
from gradpipe.errors import ModelError


def reference(name: str, kind: str, commit: str) -> GitRefInfo:
    return GitRefInfo(name=name, ref=f"refs/{kind}/{name}", target_commit=commit)


def answer(monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    def refs(_: HfApi, model_id: str) -> GitRefs:
        if isinstance(given, Exception):
            raise given
        result: GitRefs = given
        return result

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(HfApi, "list_repo_refs", refs)


def test_branches_and_tags_are_listed_with_their_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    branches = [reference("main", "heads", "a" * 40), reference("step1", "heads", "b" * 40)]
    tags = [reference("step2", "tags", "c" * 40), reference("main", "tags", "d" * 40)]
    answer(monkeypatch, GitRefs(branches=branches, converts=[], tags=tags))
    commits = list_revisions("org/name")
    assert commits == {"main": "a" * 40, "step1": "b" * 40, "step2": "c" * 40}
    found = checkpoints_of_revisions("org/name", commits, "step*", {"step2": 7.0})
    assert [(c.name, c.step, c.revision) for c in found] == [
        ("step1", 1.0, "b" * 40),
        ("step2", 7.0, "c" * 40),
    ]


def test_a_list_names_revisions_and_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789" * 4
    found = checkpoints_of_revisions("org/name", {"step1": "b" * 40}, [commit, "gone"], {commit: 5})
    assert [(c.step, c.revision, c.pending) for c in found] == [
        (5, commit, ""),
        (None, None, "is neither a branch nor a tag"),
    ]


def test_a_model_that_the_hub_does_not_have_is_not_a_transient_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, HFValidationError("bad id"))
    with pytest.raises(ModelError, match="The hub has no model 'a/b'") as caught:
        list_revisions("a/b")
    assert not caught.value.transient


def test_a_hub_that_cannot_be_reached_is_a_transient_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, OSError("no route"))
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        list_revisions("a/b")
    assert caught.value.transient
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="cannot be reached"):
        list_revisions("a/b")
