"""`python -m leadout_build.cli`, where there is no `leadout` on PATH."""

import sys

from leadout_build.cli import main

sys.exit(main())
