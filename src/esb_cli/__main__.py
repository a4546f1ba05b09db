"""`python -m esb_cli`."""

import sys

from esb_cli.main import main

sys.exit(main())
