"""What `ray job submit` runs: argv -> settings -> flow -> exit code."""

import os

# Read when ray is imported. After a stop, the thread that draws outcomes meets a Ray that was shut down;
# by its default any call would then start or join another one.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
