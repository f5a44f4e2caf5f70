"""Coverage-guided fuzzing: ``python -m tests.fuzz TARGET --seconds N``; TARGET may be ``all``.

Needs atheris (``pip install atheris``), which the replay in test_cases.py does not. What is found
lies below the folder of ``--work``: TARGET/corpus, and TARGET/faults with one input and one
traceback for each place that a fault came from, and what hung or took too much memory as
TARGET/timeout-* or oom-*. ``--keep`` takes inputs of the corpus, each of which reached code that
none before it did, over into cases/TARGET, for the tests to replay.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
import traceback
from hashlib import sha256
from pathlib import Path

CASES = Path(__file__).parent / "cases"
#: Of one target, and of one input.
MOST_CASES, LARGEST_CASE = 20, 2048
#: libFuzzer's limits of one input: seconds, and the process's memory in MB.
LIMITS = ("-timeout=30", "-rss_limit_mb=4000", "-max_len=8192", "-verbosity=1")
INSTRUMENTED = ["gradpipe", "storage", "yaml", "json"]


def main() -> None:
    """Fuzz one target, or each of them for its share of the time in a process of its own."""
    given = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    given.add_argument("target")
    given.add_argument("--seconds", type=int, default=60)
    given.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "gradpipe-fuzz")
    given.add_argument("--log", type=Path, default=None)
    given.add_argument("--keep", action="store_true", help="only take cases over from the corpus")
    given.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = given.parse_args()
    if asked.inside:
        _fuzz(asked.target, asked.work / asked.target, [f"-max_total_time={asked.seconds}"])
    targets = _names() if asked.target == "all" else [asked.target]
    for number, target in enumerate(targets):
        if asked.keep:
            print(target, _keep(target, asked.work / target), "cases kept")
        else:
            left = asked.seconds - asked.seconds * number // len(targets)
            share = left // (len(targets) - number)
            line = _share(target, share, asked.work)
            print(line, flush=True)
            if asked.log is not None:
                with asked.log.open("a") as log:
                    log.write(line + "\n")


def _share(target: str, seconds: int, work: Path) -> str:
    """Fuzz one target for so long; a process that a hang or its memory ended is started again."""
    executed, ended = 0, 0
    start = time.monotonic()
    while (left := round(seconds - (time.monotonic() - start))) > 0:
        options = ["--inside", "--seconds", str(left), "--work", str(work)]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", target, *options],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        counts = re.findall(r"^(?:Done |#)(\d+)", done.stderr, re.MULTILINE)
        executed += max(map(int, counts), default=0)
        if done.returncode:
            ended += 1
            (work / target / f"ended-{ended}.txt").write_text(done.stderr[-20_000:])
            if "-timeout" not in done.stderr and not counts:
                break
    faults = len(list((work / target / "faults").glob("*.txt")))
    corpus = len(list((work / target / "corpus").iterdir()))
    return (
        f"{target}: {executed} executions in {time.monotonic() - start:.0f} s, {corpus} inputs, "
        f"{faults} faults, {ended} times ended by a hang or its memory"
    )


def _fuzz(target: str, folder: Path, options: list[str]) -> None:
    """Run libFuzzer in this process, which it ends."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS, WORDS
    corpus, faults = folder / "corpus", folder / "faults"
    for place in (corpus, faults, CASES / target):
        place.mkdir(parents=True, exist_ok=True)
    run = TARGETS[target]

    def test_one_input(data: bytes) -> None:
        try:
            run(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # A panic of Polars is no Exception.
            _note(error, data, faults)

    words = folder / "words.dict"
    words.write_text("".join(f'"{word}"\n' for word in sorted(WORDS)))
    folders = [str(corpus), str(CASES / target)]
    found = [f"-artifact_prefix={folder}/", f"-dict={words}"]
    atheris.Setup(["fuzz", *LIMITS, *options, *found, *folders], test_one_input)
    atheris.Fuzz()


def _note(error: BaseException, data: bytes, faults: Path) -> None:
    """Keep the smallest input for each line that a fault came from."""
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{Path(last.filename).stem}-{last.lineno}-{type(error).__name__}"
    kept = faults / place
    if not kept.exists() or kept.stat().st_size > len(data):
        kept.write_bytes(data)
        kept.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))


def _keep(target: str, folder: Path) -> int:
    """Take inputs of the corpus over into the cases; those that are there stay."""
    fitting = [
        data
        for file in (folder / "corpus").glob("*")
        if file.stat().st_size <= LARGEST_CASE and _answered(target, data := file.read_bytes())
    ]
    fitting.sort(key=len)
    room = max(0, MOST_CASES - len(list((CASES / target).iterdir())))
    # Evenly from small to large: the smallest alone would all be refused at their first byte.
    for number in range(min(room, len(fitting))):
        data = fitting[number * len(fitting) // min(room, len(fitting))]
        (CASES / target / sha256(data).hexdigest()[:12]).write_bytes(data)
    return len(list((CASES / target).iterdir()))


def _answered(target: str, data: bytes) -> bool:
    """Whether the input is no open fault, which would be kept under a name of its own."""
    from tests.fuzz.targets import TARGETS

    try:
        TARGETS[target](data)
    except BaseException:
        return False
    return True


def _names() -> list[str]:
    return sorted(entry.name for entry in CASES.iterdir() if entry.is_dir())


if __name__ == "__main__":
    main()
