"""How torch's libraries are set for work on a CPU."""

import os

#: Turns of a loop that a thread of torch's waits for the others before it sleeps, some tens of
#: microseconds. GNU OpenMP's own 300 000 starve whatever else wants the cores: beside two busy
#: processes an extraction takes ten times as long and more. Without any, a thousand small waits add
#: up: measured on two idle cores, 0.31 to 0.38 s per example of 90 tokens against 0.27 s so, and an
#: SVD of 576 × 576 takes 105 ms against 25 ms.
SPINS = 20_000
#: Matrix products that oneDNN keeps prepared; a batch length takes about thirty. Of its own 1024,
#: each new length leaves some in the midst of freed memory, which larger batches cannot use then:
#: 1310 against 1265 MB at the peak of 32 rows of 45 to 149 tokens, in the same time.
PREPARED_PRODUCTS = 40


def set_up_cpu() -> None:
    """Set this for the process, unless its environment says something; before torch is imported."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_PRODUCTS))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
