"""Students of the small ViT, and fine-tuning of them that is soon done, for the tests of re-alignment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from torch import nn

import hwnorm
import hwnorm.realign.finetune as stage
from hwnorm.datapath.ir import Datapath
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.network.norms import NormSite, find_norms
from hwnorm.realign.finetune import Recipe
from hwnorm.targets.target import load_target

TANH = "2.5*tanh(0.5*x)"
#: Two epochs of few steps.
FAST = Recipe("D", epochs=2, batch=40, learning_rate=2e-3, amp=False)


def sites_of(teacher: nn.Module) -> dict[str, NormSite]:
    return {site.name: site for site in find_norms(teacher)}


def replaced(teacher: nn.Module) -> nn.Module:
    """The student with :data:`TANH` for every norm."""
    return hwnorm.replace(teacher, dict.fromkeys(sites_of(teacher), TANH))


def datapaths_of(teacher: nn.Module) -> dict[str, Datapath]:
    """:data:`TANH` in few bits, for every norm."""
    datapath = lower(parse(TANH), FixedFormat(10, 6), FixedFormat(5, 2), load_target("xcup"), 250.0)
    return dict.fromkeys(sites_of(teacher), datapath)


@contextmanager
def interrupted_after_one_epoch() -> Iterator[None]:
    """Fine-tuning in here meets Ctrl-C as its second epoch begins."""
    train = stage._train_epoch

    def stop_after_one(*args: Any) -> None:
        if args[4] == 1:
            raise KeyboardInterrupt
        train(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "_train_epoch", stop_after_one)
        with pytest.raises(KeyboardInterrupt):
            yield
