"""A function called for many items in several processes, in bounded memory, that outlives the death of a process."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait as wait_for_end
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Answer(NamedTuple, Generic[Item, Result]):
    """What came of one item.

    Attributes:
        item: The item.
        result: What the function returned; None when the process died on this item alone.
        again: Whether a process died while this item was in work, so that it was taken up again in one of its own.
    """

    item: Item
    result: Result | None
    again: bool


def available_cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_processes(
    function: Callable[[Item], Result], items: Sequence[Item], *, workers: int
) -> Generator[Answer[Item, Result]]:
    """Call a function for every item, in several processes.

    Only twice as many items as workers are in work at a time. When a process is killed (out of memory, a decoder that
    crashes), the items that were in work are taken up again, each in a process of its own, so that the one at fault is
    known and costs only itself. Ctrl-C reaches this process only: the others finish the item they have.

    Args:
        function: A function at the top level of a module; what it raises is raised here and ends the work.
        items: Items that can be pickled.
        workers: Number of processes.

    Returns:
        Answers in the order in which they are ready; close the iterator to stop early.
    """
    waiting = deque(items)
    while waiting:
        in_work: dict[Future[Result], Item] = {}
        yield from _until_a_process_dies(function, waiting, in_work, workers)
        for item in in_work.values():
            yield Answer(item, _alone(function, item), again=True)


def _until_a_process_dies(
    function: Callable[[Item], Result], waiting: deque[Item], in_work: dict[Future[Result], Item], workers: int
) -> Generator[Answer[Item, Result]]:
    """Answers until all items are done, or until a process dies: then `in_work` holds the items without an answer."""
    pool = _pool(workers)
    try:
        while waiting or in_work:
            while waiting and len(in_work) < 2 * workers:
                with _interrupts_held_back():
                    in_work[pool.submit(function, waiting[0])] = waiting[0]
                waiting.popleft()
            for future in wait(in_work, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield Answer(in_work.pop(future), result, again=False)
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(cancel_futures=True)


def _alone(function: Callable[[Item], Result], item: Item) -> Result | None:
    with _pool(1) as pool:
        with _interrupts_held_back():
            future = pool.submit(function, item)
        try:
            return future.result()
        except BrokenProcessPool:
            return None


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start processes so that Ctrl-C does not end them in the middle of their imports, with a traceback each.

    They inherit what is held back, and hold it back for good; this process gets it at the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Forked children would inherit locks that threads of this process hold.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes would wait for work for ever when the one that started them is killed."""
    parent = parent_process()
    if parent is not None:
        wait_for_end([parent.sentinel])
        os._exit(1)
