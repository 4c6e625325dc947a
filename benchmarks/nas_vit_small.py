"""A ViT-S with fewer products, nothing trained: fitted subnets beside slices and beside magnitude pruning.

.venv/bin/python benchmarks/nas_vit_small.py --weights FILE --data DIR [--share 0.75] [--subnets 50]

So many subnets are drawn whose products are just within the share; each is fitted to the original in closed
form, and the one of least loss on held-out training images is taken. The same shape is then made of the same
channels without a fit, and of the channels of largest weights. A linear probe is fitted anew for each.
"""

from __future__ import annotations

import time
from random import Random

import torch
from rich.table import Table
from torch import Tensor, nn
from vit_small import MODEL, cosines, features, options, probe

from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Context, Linear, Scores
from hwnorm.graph.read import read_graph
from hwnorm.nas.scoring import pixels_of
from hwnorm.network.models import load_model
from hwnorm.network.output_loss import OutputLoss
from hwnorm.progress import err, out
from hwnorm.supernet.fit import Fitting
from hwnorm.supernet.slices import Groups
from hwnorm.supernet.space import Space, Subnet
from hwnorm.supernet.supernet import Ordering, Supernet
from hwnorm.threads import single_threaded

#: What is elastic. Rows are not rounded here: their bits make no difference.
SPACE = Space((336, 360, 384), (11, 12), (4, 5, 6), (2.0, 2.5, 3.0, 3.5, 4.0), (1.0,), tuple(range(12)))
#: Training images that fits see, and others that the loss is measured on.
FIT, HELD = 256, 128
#: Products of a drawn subnet are at least this share of what they may be.
JUST = 0.97


def products(graph: Graph, image: Tensor) -> int:
    """Of an image: of the linear layers, and of both products of the attention."""
    total = 0
    for op, values in graph.walk(image):
        count = values[op.out].numel()
        match op:
            case Linear():
                total += count * op.weight.shape[1]
            case Scores():
                total += count * values[op.q].shape[-1] // op.heads
            case Context():
                total += count * values[op.p].shape[-1]
    return total


def magnitudes(graph: Graph) -> Ordering:
    """Channels in the order of their weights' sums of squares; heads as wholes."""
    groups = Groups.read(graph)
    sums = {group: torch.zeros(size) for group, size in groups.sizes.items()}
    for op in graph.linears:
        for name, axis in ((op.out, 1), (op.x, 0)):
            group = groups.of[name]
            if group is not None:
                sums[group] += op.weight.square().sum(axis)
    orders = {}
    for group, values in sums.items():
        size = groups.head_dim if group.startswith("heads.") else 1
        first = values.reshape(-1, size).sum(1).argsort(descending=True)
        orders[group] = (first[:, None] * size + torch.arange(size)).flatten()
    return Ordering(orders, {}, {})


class _Module(nn.Module):
    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, images: Tensor) -> Tensor:
        return self.graph(images)


def main() -> None:
    """Print a table, a line a network."""
    parser = options((__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=0.75, help="of the original's products")
    parser.add_argument("--subnets", type=int, default=50)
    args = parser.parse_args()
    model = load_model(MODEL, args.weights, args.image_size)
    train, tests = (load_images(args.data, split, model) for split in ("train", "test"))
    probed, tests = train.limited(args.probe_images), tests.limited(args.test_images)
    pixels = pixels_of(train.limited(FIT + HELD))
    graph, loss = read_graph(model), OutputLoss(has_head=False)
    began = time.monotonic()
    with single_threaded():
        ordering = Ordering.of(graph, graph, pixels[:FIT], loss)
    supernet = Supernet.of(graph, graph, ordering)
    fitting = Fitting(supernet, pixels[:FIT], pixels[FIT:], loss, rounding=False)
    ordered = time.monotonic() - began
    whole = products(graph, pixels[:1])
    random, found = Random(0), dict[Subnet, float]()
    began = time.monotonic()
    while len(found) < args.subnets:
        subnet = SPACE.random(random)
        share = products(supernet.view(subnet), pixels[:1]) / whole
        if subnet in found or not JUST * args.share <= share <= args.share:
            continue
        found[subnet] = fitting(subnet).loss.loss
        err.print(f"{len(found)}: {share:.3f} of the products, loss {found[subnet]:.4f}", highlight=False)
    seconds = time.monotonic() - began
    best = min(found, key=lambda subnet: found[subnet])
    networks = {
        "original": graph,
        "fitted": fitting(best).graph,
        "slices without a fit": supernet.view(best),
        "largest weights": Supernet.of(graph, graph, magnitudes(graph)).view(best),
    }
    table = Table("", "products", "probe, %", "cosine", "centred", title=str(best))
    wanted: Tensor | None = None
    for name, each in networks.items():
        got = _seen(each, tests, name)
        wanted = got[0] if wanted is None else wanted
        top1 = probe(_seen(each, probed, f"{name}, probe"), got)
        near = cosines(got[0], wanted)
        share = products(each, pixels[:1]) / whole
        table.add_row(name, f"{100 * share:.1f} %", f"{top1:.2f}", *(f"{value:.4f}" for value in near))
    out.print(table)
    out.print(
        f"{args.image_size} pixels; {len(found)} subnets fitted in {seconds:.0f} s, after {ordered:.0f} s "
        f"for the order of channels; {len(tests)} test images, probes of {len(probed)}"
    )


def _seen(graph: Graph, images: ImageSet, label: str) -> tuple[Tensor, Tensor]:
    return features(_Module(graph), images, label)


if __name__ == "__main__":
    main()
