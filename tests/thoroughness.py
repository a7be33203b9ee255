"""How much of the real model's tokens the tests check.

Without a GPU a token takes a good part of a second, in a browser some seconds. Every commit checks
a part, so that `make test` stays below 25 minutes on two cores; `LEADOUT_TEST_THOROUGH=1` checks
all that the README and tests/vectors/README.md speak of. The store's downloads grow as well.
"""

from __future__ import annotations

import os

IS_THOROUGH = os.environ.get("LEADOUT_TEST_THOROUGH") == "1"
