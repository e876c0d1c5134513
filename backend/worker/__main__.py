"""`python -m backend.worker`."""

from backend.worker.loop import main

main()
