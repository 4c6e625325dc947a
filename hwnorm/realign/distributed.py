"""Several processes that train one network, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn


def own_device() -> torch.device:
    """What this process computes on: the GPU of its number where there are any, else the CPU."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the processes of ``torchrun``, if it runs; the device that this one computes on."""
    device = own_device()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized()
    if several:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if several:
            distributed.destroy_process_group()


def is_first() -> bool:
    """Whether this process is the one that writes and tells."""
    return int(os.environ.get("RANK", "0")) == 0


def share_weights(model: nn.Module) -> None:
    """Give every process the first one's weights."""
    if distributed.is_initialized():
        for tensor in model.state_dict().values():
            distributed.broadcast(tensor, 0)


def own_share(batch: Tensor) -> Tensor:
    """The part of a batch that is this process's: every n-th of it, of n processes."""
    if not distributed.is_initialized():
        return batch
    return batch[distributed.get_rank() :: distributed.get_world_size()]


def average_gradients(model: nn.Module) -> None:
    """Make every process's gradients their mean."""
    if not distributed.is_initialized():
        return
    count = distributed.get_world_size()
    for parameter in model.parameters():
        if parameter.grad is not None:
            distributed.all_reduce(parameter.grad)
            parameter.grad /= count
