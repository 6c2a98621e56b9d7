"""`python -m numgan`: the same command line as `numgan`."""

import sys

from numgan.cli import main

sys.exit(main())
