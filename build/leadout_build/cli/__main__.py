"""`python -m leadout_build.cli`, for when `leadout` is not on PATH."""

import sys

from leadout_build.cli import main

sys.exit(main())
