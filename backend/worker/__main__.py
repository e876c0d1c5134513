"""`python -m backend.worker`."""

import os

from backend.worker.loop import main

os.umask(0o077)
main()
