"""Training of a study's supernet: ``hwnorm supernet train``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.graph.read import read_graph
from hwnorm.locks import alone_in
from hwnorm.nas.nas import begin, whole_network
from hwnorm.nas.scoring import Context, check_study, depth_of, pixels_of, space_of
from hwnorm.nas.spacefile import NasStudy
from hwnorm.network.output_loss import Measured
from hwnorm.progress import err, progress_bar
from hwnorm.realign.distributed import own_device
from hwnorm.runs.inputs import Inputs
from hwnorm.supernet.slices import STREAM, Groups, heads_of, units_of
from hwnorm.supernet.space import Block, Subnet
from hwnorm.supernet.stored import RECORD, write_supernet
from hwnorm.supernet.train import Epoch, Recipe, train

_CHECKPOINT = "checkpoint.pt"


def train_supernet(study: NasStudy, *, jobs: int = 1) -> Path:
    """Train all subnets of a study's space together, unless that is done; returns the folder.

    What was searched before is searched anew then. Training that was stopped goes on.

    Raises:
        InputError: as :func:`hwnorm.nas.nas.nas`; the space leaves something of the network out; the study
            names a trained supernet.
    """
    named = study.file.space.supernet
    if named is not None:
        raise InputError(
            f"{study.path}: space.supernet: {named!r} is a trained one; leave it out to train another"
        )
    with alone_in(study.folder):
        check_study(study)
        begin(study)
        folder = study.own_supernet
        if (folder / RECORD).is_file():
            err.print(
                f"{folder}: is trained; remove the folder to train it again", highlight=False, soft_wrap=True
            )
            return folder
        _check_whole(study)
        whole_network(study, None, jobs, None)
        here = Context(study, None)
        recipe = Recipe(**study.file.train.model_dump(), seed=study.file.search.seed)
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / _CHECKPOINT
        device = own_device()
        with progress_bar() as bar:
            task = bar.add_task("train", total=None)
            found, epochs = train(
                here.supernet,
                here.space,
                here.split.train,
                pixels_of(here.split.held),
                here.loss,
                recipe,
                checkpoint,
                device,
                lambda done, total: bar.update(task, completed=done, total=total),
                _report,
            )
        write_supernet(
            folder,
            found,
            here.space,
            here.student,
            here.original,
            recipe.seed,
            recipe=asdict(recipe),
            images=len(here.split.train),
            epochs=[asdict(epoch) for epoch in epochs],
        )
        checkpoint.unlink(missing_ok=True)
        return folder


def _check_whole(study: NasStudy) -> None:
    """What is trained is all of the network."""
    groups = Groups.read(read_graph(Inputs(study.settings).model))
    space = space_of(study, tuple(range(depth_of(groups))))
    sizes, ratio8, largest = groups.sizes, space.ratio8[-1], space.largest
    blocks = [
        Block(sizes[heads_of(i)] // groups.head_dim, sizes[units_of(i)], ratio8)
        for i in range(depth_of(groups))
    ]
    whole = Subnet(sizes[STREAM], tuple(blocks))
    if largest != whole:
        raise InputError(
            f"{study.path}: space: its largest subnet is {largest}; to train, it must be all of the "
            f"network: {whole}"
        )


def _report(number: int, epoch: Epoch) -> None:
    def said(measured: Measured) -> str:
        same = "" if measured.agreement is None else f", {measured.agreement:.2f} % as the original"
        return f"loss {measured.loss:.4f}{same}"

    err.print(
        f"epoch {number}: largest {said(epoch.largest)}; smallest {said(epoch.smallest)}",
        highlight=False,
        soft_wrap=True,
    )
