"""A holder that is dead is known by its name."""

import os
import subprocess
import sys

from backend.files import this_machine
from backend.worker.lease import is_dead, process_name


class TestProcessNames:
    def test_this_process_lives(self):
        assert not is_dead(process_name())

    def test_another_machine_may_live(self):
        assert not is_dead("elsewhere:1:1.00")

    def test_an_ended_process_is_dead(self):
        child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                               capture_output=True, text=True)  # fmt: skip
        assert is_dead(f"{this_machine()}:{child.stdout.strip()}:1.00")

    def test_a_process_that_took_over_the_number_is_another(self):
        assert is_dead(f"{this_machine()}:{os.getpid()}:1.00")
