"""What fuzzing found, and what reaches furthest into the readers, replayed."""

import time
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CASES = Path(__file__).parent / "cases"
#: Processor seconds; what hangs takes many more than the slowest case.
LONGEST = 10.0


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_case_is_answered_or_refused(target: str) -> None:
    cases = sorted((CASES / target).iterdir())
    assert cases, "every target has seeds"
    for case in cases:
        start = time.process_time()
        try:
            TARGETS[target](case.read_bytes())
        except BaseException as error:
            error.add_note(f"with the case {case.relative_to(CASES)}")
            raise
        assert time.process_time() - start < LONGEST, case


def test_the_cases_stay_few_and_small() -> None:
    files = [file for file in CASES.rglob("*") if file.is_file()]
    assert len(files) < 300
    assert sum(file.stat().st_size for file in files) < 500_000
