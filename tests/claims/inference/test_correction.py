"""The correction over all claims of a study."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.inference.correction import finding_group, study_p_values
from gradpipe.claims.schemas import STUDY_SOURCE
from gradpipe.claims.values import CellValues
from gradpipe.claims.verdicts import judge

CURVE = 10 + np.random.default_rng(7).normal(size=6)


def rejected(p: Sequence[float], groups: Sequence[str], level: float) -> set[int]:
    """The claims that a step-by-step procedure rejects at one level.

    Each group that is not rejected as a whole has an equal part of the level, and Holm's method
    takes its claims one by one. Repeated until nothing changes.
    """
    names = sorted(set(groups))
    found: set[int] = set()
    while True:
        whole = {g for g in names if all(i in found for i, of in enumerate(groups) if of == g)}
        if len(whole) == len(names):
            return found
        part = level / (len(names) - len(whole))
        new = set()
        for name in names:
            members = sorted((p[i], i) for i, of in enumerate(groups) if of == name)
            for place, (value, i) in enumerate(members):
                if value * (len(members) - place) > part:
                    break
                new.add(i)
        if new <= found:
            return found
        found |= new


claims = st.lists(
    st.tuples(st.sampled_from([0.001, 0.004, 0.01, 0.013, 0.02, 0.3, 1.0]), st.sampled_from("abc")),
    min_size=1,
    max_size=8,
)


@given(claims)
def test_it_decides_what_the_step_by_step_procedure_decides_at_every_level(
    of: list[tuple[float, str]],
) -> None:
    p, groups = [one for one, _ in of], [group for _, group in of]
    adjusted = study_p_values(p, groups)
    for level in (0.0123, 0.0307, 0.0511, 0.117, 0.9):
        assert {i for i, one in enumerate(adjusted) if one <= level} == rejected(p, groups, level)
    assert all(one >= raw for one, raw in zip(adjusted, p, strict=True))


def test_groups_of_one_claim_are_corrected_by_holms_method() -> None:
    assert study_p_values([0.01, 0.03, 0.02], ["a", "b", "c"]) == pytest.approx([0.03, 0.04, 0.04])
    assert study_p_values([0.01, 0.03, 0.02], ["a"] * 3) == pytest.approx([0.03, 0.04, 0.04])
    assert study_p_values([], []) == []


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_any_wrong_verdict_of_a_study_is_as_rare_as_its_level(correlation: float) -> None:
    draw, tries = np.random.default_rng(4), 400
    groups = list("aabbbcdd")
    false = np.array([True, False, False, False, False, True, True, True])
    wrong = 0
    for _ in range(tries):
        z = np.sqrt(correlation) * draw.normal() + np.sqrt(1 - correlation) * draw.normal(size=8)
        p = 2 * norm.sf(np.abs(z + np.where(false, 5.0, 0.0)))
        adjusted = np.array(study_p_values(p.tolist(), groups))
        wrong += bool((adjusted[~false] < 0.05).any())
    assert wrong <= binom.ppf(0.999, tries, 0.05)


def claim(name: str, source: str = "a paper", **changes: object) -> Claim:
    terms = (Term(1, "none"), Term(-1, "detailed"))
    return Claim(
        claim=name,
        group="g",
        title="",
        statement="",
        source=source,
        terms=terms,
        **changes,  # type: ignore[arg-type]
    )


def test_a_studys_own_claims_are_groups_of_their_own() -> None:
    assert finding_group(claim("c")) == "g"
    assert finding_group(claim("c", STUDY_SOURCE)) == "c"


def test_verdicts_have_both_p_values_and_the_option_none_leaves_them_equal(
    cell: Callable[..., CellValues], table_of: Callable[..., pl.DataFrame]
) -> None:
    curves = {("none", "correct"): 1.065 * CURVE, ("detailed", "correct"): CURVE}
    table = table_of(cell(1, 60, curves, spread=0.15))
    judged = [claim("small"), claim("absent", benchmark="aqua")]
    judged += [claim(f"{margin}", margin=margin) for margin in (1.13, 1.15, 1.16)]
    found = judge([table], judged, resamples=300)
    overall = found.filter(level="overall")
    assert overall["p_study"].to_list() == pytest.approx(
        study_p_values(overall["p"].to_list(), ["g"] * 4)
    )
    first = overall.row(0, named=True)
    assert (first["verdict"], first["verdict_study"]) == ("supported", "undecided")
    assert first["p"] < 0.05 < first["p_study"]
    for name in ("p_study", "verdict_study", "independent_cells"):
        assert found.filter(level="cell")[name].null_count() == found.height - overall.height
    plain = judge([table], judged, resamples=300, correction="none").filter(level="overall")
    assert plain["p_study"].to_list() == plain["p"].to_list()
    assert plain["verdict_study"].to_list() == plain["verdict"].to_list()
