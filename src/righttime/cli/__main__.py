"""``python -m righttime.cli``."""

import sys

from righttime.cli.run import main

sys.exit(main())
