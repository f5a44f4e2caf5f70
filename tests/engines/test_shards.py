"""Shards: balanced, of like length, and what becomes of those that end their actors."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.engines.shards import SHARD_TOKENS, SHARDS_PER_ACTOR, Backlog, Shard, cut_shards


def backlog(*keys: str, strikes: int = 0) -> Backlog:
    return Backlog([Shard(keys, strikes)])


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(0, 5000), max_size=200),
    st.integers(1, 9),
)
def test_every_row_is_in_just_one_shard(tokens: dict[str, int], actors: int) -> None:
    shards = cut_shards(tokens, actors)
    assert sorted(key for shard in shards for key in shard.keys) == sorted(tokens)
    assert all(shard.keys for shard in shards)
    assert len(shards) <= actors * SHARDS_PER_ACTOR


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=300), st.integers(1, 4))
def test_no_shard_has_more_than_its_part_and_one_row(lengths: list[int], actors: int) -> None:
    tokens = {str(number): length for number, length in enumerate(lengths)}
    shards = cut_shards(tokens, actors)
    part = max(sum(lengths) / (actors * SHARDS_PER_ACTOR), SHARD_TOKENS * 2)
    assert all(sum(tokens[key] for key in shard.keys) <= part + 2000 for shard in shards)


def test_rows_of_like_length_are_together_and_the_longest_go_first() -> None:
    tokens = {str(length): length for length in range(1, 1001)}
    shards = cut_shards(tokens, 2)
    assert len(shards) == 2 * SHARDS_PER_ACTOR
    lengths = [[tokens[key] for key in shard.keys] for shard in shards]
    assert all(shard == sorted(shard) for shard in lengths)
    assert all(min(longer) > max(shorter) for longer, shorter in pairwise(lengths))


def test_few_tokens_are_not_cut_into_batches_that_are_half_full() -> None:
    assert len(cut_shards({str(number): 10 for number in range(50)}, 8)) == 1
    assert len(cut_shards({str(number): 100 for number in range(40)}, 8)) == 3
    assert len(cut_shards({str(number): 100 for number in range(200)}, 8)) == 8


def test_rows_without_a_token_are_one_shard() -> None:
    assert len(cut_shards({"a": 0, "b": 0}, 2)) == 1
    assert cut_shards({}, 2) == []


def test_a_shard_whose_actor_died_goes_behind_the_others_without_what_was_done() -> None:
    waiting = Backlog([Shard(("a", "b", "c")), Shard(("d",))])
    waiting.give_back(waiting.take(), ["b", "c"])
    assert waiting.take().keys == ("d",)
    assert waiting.take().keys == ("b", "c")
    assert not waiting


def test_a_shard_that_was_done_when_its_actor_died_is_gone() -> None:
    waiting = backlog("a", "b")
    waiting.give_back(waiting.take(), [])
    assert not waiting
    assert waiting.failed == []


def test_a_row_that_ends_three_actors_is_given_up_and_the_rest_of_its_shard_is_done() -> None:
    waiting = backlog("a", "poison", "b")
    died, done = 0, set[str]()
    while waiting:
        shard = waiting.take()
        before = [key for key in shard.keys if key not in done]
        if "poison" in before:
            died += 1
            waiting.give_back(shard, before)
        else:
            done.update(before)
    assert died == 3
    assert done == {"a", "b"}
    assert waiting.failed == ["poison"]


@pytest.mark.parametrize("rows", [1, 4])
def test_a_shard_that_goes_on_after_each_death_is_not_given_up(rows: int) -> None:
    waiting = backlog(*"abcdefgh"[: rows + 1])
    for left in range(rows, 0, -1):
        shard = waiting.take()
        waiting.give_back(shard, shard.keys[-left:])
    assert waiting.failed == []
    assert len(waiting) == 1


def test_where_nobody_is_left_all_that_waits_is_given_up() -> None:
    waiting = Backlog([Shard(("a", "b")), Shard(("c",))])
    waiting.give_up()
    assert not waiting
    assert waiting.failed == ["a", "b", "c"]
