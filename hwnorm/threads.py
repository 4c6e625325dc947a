"""Threads that each have a part of the work, instead of one operation's threads that wait for each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextmanager
def single_threaded() -> Iterator[None]:
    """Give each of PyTorch's operations one thread, in this thread and in those that start meanwhile.

    The threads of an operation wait for the last of them, and spin: where other processes have the cores,
    many small operations take many times as long. The number is the whole process's; it is given back.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_threads(
    work: Callable[[_Item], _Result], items: Iterable[_Item], most: int | None = None
) -> Iterator[_Result]:
    """``work`` of each item, in order, by as many threads as there are cores, each of one core.

    Worth its while where the work is in PyTorch's and NumPy's operations, which let other threads run.
    PyTorch's products can be made side by side; OpenBLAS, which NumPy has, lets one thread in at a time, and
    its own threads spin meanwhile.

    Args:
        most: threads at most, where an item needs much memory.
    """
    count = os.cpu_count() or 1
    # A new thread has the number that its libraries began with, until it is told another.
    with (
        single_threaded(),
        ThreadPoolExecutor(
            min(count, most or count), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        yield from pool.map(work, items)
