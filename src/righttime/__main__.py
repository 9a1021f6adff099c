"""``python -m righttime``."""

import sys

from righttime.cli.run import main

sys.exit(main())
