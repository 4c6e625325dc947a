"""Threads for parts of the work: in order, one core each, and PyTorch's number as it was."""

from __future__ import annotations

import threading

import pytest
import torch

from hwnorm.threads import in_threads, single_threaded


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_whoever_is_done_first(three_threads, monkeypatch):
    """The first item waits for the second one, so two threads work side by side."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    done = threading.Event()

    def work(item: int) -> tuple[int, int]:
        if item == 0:
            assert done.wait(20)
        elif item == 1:
            done.set()
        return item, torch.get_num_threads()

    assert list(in_threads(work, range(5))) == [(item, 1) for item in range(5)]
    assert torch.get_num_threads() == 3


def test_no_more_threads_than_asked_for():
    names = set(in_threads(lambda item: threading.current_thread().name, range(20), most=1))
    assert len(names) == 1


def test_the_number_of_threads_is_given_back_after_an_error(three_threads):

    def fails() -> None:
        with single_threaded():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 // item, [1, 0]))
    assert torch.get_num_threads() == 3
