"""How much of the real model's tokens, and how many hostile files, the tests check.

Without a GPU a token takes a good part of a second, in a browser some seconds. Every commit checks
a part, so that `make test` stays below 25 minutes on two cores; `LEADOUT_TEST_THOROUGH=1` checks
all that tests/README.md and tests/vectors/README.md speak of. The store's downloads grow as well,
and the fuzzer's examples. These are the same in every run, so a failure is the change's own.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings

IS_THOROUGH = os.environ.get("LEADOUT_TEST_THOROUGH") == "1"

FUZZ = settings(
    max_examples=10_000 if IS_THOROUGH else 60,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

#: No small hostile input may take longer; the most seen is 0.4 s on a busy machine.
MAX_HOSTILE_S = 5.0

#: What all hostile input of a file of tests may take of memory beyond what there was before.
MAX_HOSTILE_BYTES = 512 << 20


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Assert that neither this process nor any child ever took much more memory than before."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = [1024 * resource.getrusage(one).ru_maxrss for one in who]
    yield
    after = [1024 * resource.getrusage(one).ru_maxrss for one in who]
    assert after[0] - before[0] < MAX_HOSTILE_BYTES
    # The largest child may have been one of before, and a child begins with its parent's peak.
    assert after[1] <= max(before[1], after[0], MAX_HOSTILE_BYTES)
