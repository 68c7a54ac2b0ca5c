"""Run the command line as ``python -m fisherjax``."""

import sys

from fisherjax.cli import main

sys.exit(main())
