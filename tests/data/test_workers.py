"""Several processes: every item gets its answer, and one that crashes its process costs only itself.

The functions are those of the standard library, because the processes cannot import test modules.
"""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xray_chest_detection.data.workers import Answer, available_cores, in_processes

CRASHES = 0  # an address nobody may read


def test_every_item_is_answered():
    answers = list(in_processes(math.isqrt, range(9), workers=2))
    assert sorted(answers) == [Answer(number, math.isqrt(number), again=False) for number in range(9)]


def test_no_items_need_no_process():
    assert list(in_processes(math.isqrt, [], workers=2)) == []


@pytest.mark.skipif(os.name != "posix", reason="elsewhere reading address 0 is an exception, not a crash")
def test_an_item_that_crashes_its_process_costs_only_itself():
    items = [b"a", b"b", CRASHES, b"c", b"d", b"e", b"f", CRASHES, b"g"]
    answers = list(in_processes(ctypes.string_at, items, workers=1))
    assert sorted(str(answer.item) for answer in answers) == sorted(map(str, items))
    assert all(answer.result == (None if answer.item == CRASHES else answer.item) for answer in answers)
    assert all(answer.again for answer in answers if answer.item == CRASHES)
    assert sum(answer.again for answer in answers) <= 4  # two crashes, and not more than two items in work each time


def test_what_the_function_raises_ends_the_work():
    with pytest.raises(ValueError, match="nonnegative"):
        list(in_processes(math.isqrt, [-1, *range(20)], workers=1))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_ctrl_c_while_processes_start_is_one_line_and_status_130():
    code = (
        "import time; from xray_chest_detection.cli.errors import exit_on_error\n"
        "from xray_chest_detection.data.workers import in_processes\n"
        "with exit_on_error(): list(in_processes(time.sleep, [0.1] * 99, workers=2))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while sum("spawn_main" in line for line in _command_lines(process.pid)) < 2:
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        assert process.communicate(timeout=60)[1] == "interrupted; nothing half-written was left behind\n"
    assert process.returncode == 130


def _command_lines(group):
    """Command lines of the processes of a group."""
    lines = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if int((path / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                lines.append((path / "cmdline").read_text())
        except OSError:  # it ended
            continue
    return lines


def test_there_is_a_core():
    assert available_cores() >= 1
