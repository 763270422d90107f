"""`python -m walbc`."""

import sys

from walbc.main import main

sys.exit(main())
