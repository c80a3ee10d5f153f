"""Command line of the weights cache."""

import sys

from restore.weights import main

sys.exit(main())
