"""``python -m righttime.cli``."""

import sys

from righttime.cli.running import main

sys.exit(main())
