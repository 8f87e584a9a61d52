"""`python -m deformcli` is `deform`."""

import sys

from .cli import main

sys.exit(main())
