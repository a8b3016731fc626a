"""Several processes: every item gets its answer, and one that crashes its process costs only itself.

The functions are those of the standard library, because the processes cannot import test modules.
"""

import ctypes
import math
import os

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


def test_there_is_a_core():
    assert available_cores() >= 1
