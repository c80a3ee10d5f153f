"""What `ray job submit` runs: argv -> settings -> flow -> exit code."""

import os

from restore import installation

installation.require()

# Ray reads this when it is imported. After a stop, the thread that draws outcomes may call a Ray that was
# shut down; by default such a call would start or join another one.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
