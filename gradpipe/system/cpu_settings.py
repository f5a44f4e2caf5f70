"""Settings of torch's libraries for computation on a CPU."""

import os

#: Iterations for which a thread of torch busy-waits for the others before it sleeps, some tens of
#: microseconds. GNU OpenMP's default of 300 000 starves other processes: next to two busy ones, an
#: extraction takes more than ten times as long. With 0, many short waits add up: measured on two
#: idle cores, an example of 90 tokens takes 0.31 to 0.38 s instead of 0.27 s, and an SVD of
#: 576 × 576 takes 105 ms instead of 25 ms.
SPINS = 20_000
#: Matrix products that oneDNN keeps prepared; each batch length needs about thirty. With oneDNN's
#: default of 1024, old ones fragment the freed memory, so that larger batches cannot use it: the
#: peak of 32 rows of 45 to 149 tokens is 1310 MB instead of 1265 MB, in the same time.
PREPARED_PRODUCTS = 40


def set_up_cpu() -> None:
    """Set these for the process unless the environment does; call before importing torch."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(PREPARED_PRODUCTS))
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
