"""Read by a Python that finds this folder in PYTHONPATH: its clock follows a file."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))

from tests.chaos.clocks import follow

follow()
