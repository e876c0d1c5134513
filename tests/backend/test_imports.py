"""What must answer at once does not load torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["backend.web.app", "backend.worker.loop"],
)
def test_torch_stays_out(module: str):
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_web_process_is_small():
    """It never talks to Label Studio, whose SDK takes 100 MB."""
    code = "import backend.web.app, sys; sys.exit('label_studio_sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_model_is_looked_at_before_what_takes_long_to_load():
    code = """
import sys
from backend.errors import BadInput
from backend.settings import Settings
from backend.starting.begin import begin
try:
    begin(Settings(), None, {"model": "/nowhere", "prompt": "a rose"}, note=print)
except BadInput as error:
    print(error, {"torch", "label_studio_sdk"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "There is no folder '/nowhere'" in done.stdout, done.stderr
    assert done.stdout.endswith("set()\n")


def test_torch_stays_out_of_the_command_line():
    pytest.importorskip("backend.cli")
    code = "import backend.cli, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
