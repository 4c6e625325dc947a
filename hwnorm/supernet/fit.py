"""A subnet fitted to the original in closed form, and what its output has lost then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hwnorm.graph.graph import IMAGES, Graph
from hwnorm.graph.operations import Add, Linear, Operation
from hwnorm.integers import rows
from hwnorm.integers.operations import product
from hwnorm.network.output_loss import Measured, OutputLoss
from hwnorm.network.ridge import ENOUGH_ROWS, USUAL_STRENGTH, with_ones
from hwnorm.supernet.slices import block_of
from hwnorm.supernet.space import Block, Subnet
from hwnorm.supernet.supernet import Supernet

#: Bytes of states of the stream behind blocks that are kept: subnets that begin alike share what is alike.
KEPT_BYTES = 800_000_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """A subnet's operations with the weights that it was given, and its output for the held-out images."""

    graph: Graph
    output: Tensor
    loss: Measured


@dataclass(frozen=True, eq=False)
class _State:
    """The operations up to a place of the stream, and the tensors there: fit images, then held-out ones."""

    operations: tuple[Operation, ...]
    values: Mapping[str, Tensor]

    @property
    def bytes(self) -> int:
        """Of the tensors; the operations are small beside them."""
        return sum(value.nbytes for value in self.values.values())


class Fitting:
    """Fits subnets of one supernet, each from the same images.

    Layer by layer in the order of execution, as in :mod:`hwnorm.realign`: queries, keys, values and the units
    of an MLP come back to what the original has there, on the subnet's own input; output projections bring
    the residual stream back to the original's. The last projection before blocks that are left out brings it
    to where the original is behind them. Rows are rounded to codes as they are fitted, so that what comes
    behind makes up for that too. The weights of a trained supernet are rounded, and stay otherwise.

    Args:
        supernet: the network and its original.
        fit: images to fit to, (n, C, H, W).
        held: others, to measure the loss on.
        loss: of outputs.
        rounding: whether rows are rounded.
    """

    def __init__(
        self, supernet: Supernet, fit: Tensor, held: Tensor, loss: OutputLoss, rounding: bool = True
    ) -> None:
        self.supernet, self.loss, self.count, self.rounding = supernet, loss, len(fit), rounding
        self.images = torch.cat([fit, held])
        self._joins = {op.x: op.out for op in supernet.graph.operations if isinstance(op, Add)}
        self._states: OrderedDict[tuple[object, ...], _State] = OrderedDict()
        self._bytes = 0
        self._teach(fit, held)

    @torch.no_grad()
    def _teach(self, fit: Tensor, held: Tensor) -> None:
        """Keep what the original's layers read, and its stream, on the images of the fits."""
        teacher = self.supernet.teacher
        self.wanted = teacher(held)
        if self.supernet.trained:
            return
        wanted = {op.x for op in teacher.linears if op.out not in self._joins}
        wanted |= set(self._joins.values())
        self.known: dict[str, Tensor] = {}
        for _, values in teacher.walk(fit):
            for name in wanted & values.keys() - self.known.keys():
                self.known[name] = values[name]
        self.layers = {op.out: op for op in teacher.linears}

    @torch.no_grad()
    def __call__(self, subnet: Subnet) -> Fitted:
        """Fit and measure a subnet."""
        view = self.supernet.view(subnet)
        bits = self.supernet.bits(subnet) if self.rounding else {}
        segments = _segments(view, subnet)
        state = _State((), {IMAGES: self.images})
        at: tuple[object, ...] = (subnet.width,)
        for segment in segments:
            last, at = segment is segments[-1], (*at, segment.key)
            found = None if last else self._states.get(at)
            if found is None:
                found = self._advance(state, segment, bits)
                if not last:
                    self._keep(at, found)
            else:
                self._states.move_to_end(at)
            state = found
        output = state.values[view.output][self.count :].flatten(1)
        return Fitted(Graph(state.operations), output, self.loss.compare(output, self.wanted))

    def _keep(self, at: tuple[object, ...], state: _State) -> None:
        """Keep a state; what was used least recently goes where they are too many."""
        self._states[at] = state
        self._bytes += state.bytes
        while self._bytes > KEPT_BYTES and len(self._states) > 1:
            self._bytes -= self._states.popitem(last=False)[1].bytes

    def _advance(self, state: _State, segment: _Segment, bits: Mapping[str, npt.NDArray[np.uint8]]) -> _State:
        """Fit and compute a segment; only what the last of its operations makes is kept."""
        values, done = dict(state.values), list(state.operations)
        streams = {op.x: op for op in segment.operations if isinstance(op, Add)}
        seen: dict[str, _Rows] = {}
        for op in segment.operations:
            if isinstance(op, Linear) and (op.out in bits or not self.supernet.trained):
                joined = streams.get(op.out)
                if op.x not in seen:
                    seen[op.x] = self._rows(values[op.x], op.x if joined is None else joined.out)
                if not self.supernet.trained:
                    op = self._refitted(op, joined, segment, seen[op.x], values)
                if op.out in bits:
                    op = _rounded(op, seen[op.x], bits[op.out])
            values[op.out] = op(*(values[name] for name in op.reads))
            done.append(op)
        last = segment.operations[-1].out
        return _State(tuple(done), {last: values[last]})

    def _refitted(
        self, op: Linear, joined: Add | None, segment: _Segment, seen: _Rows, values: Mapping[str, Tensor]
    ) -> Linear:
        """A layer, by what the original has in its place; the first one stays."""
        if joined is not None:
            last = [part for part in segment.operations if isinstance(part, Add)][-1]
            target = joined.out
            if segment.behind is not None and joined is last:
                target = self.supernet.ends[segment.behind]
            return self._projection(op, seen, values[joined.stream], target)
        if block_of(op.out) is not None or op.out == self.supernet.graph.output:
            return self._consumer(op, seen)
        return op

    def _rows(self, x: Tensor, place: str) -> _Rows:
        tokens = self.supernet.ordering.tokens.get(place)
        flat = with_ones(x[: self.count].flatten(0, 1))
        if tokens is None or len(tokens) != x.shape[1]:
            return _Rows(flat, (flat.T @ flat).double())
        weighed = flat * tokens.repeat(self.count)[:, None]
        return _Rows(weighed, (weighed.T @ flat).double())

    def _consumer(self, op: Linear, seen: _Rows) -> Linear:
        """A layer that reads a norm: back to the original's output."""
        teacher = self.layers[op.out]
        if teacher.x not in seen.cross:
            read = with_ones(self.known[teacher.x].flatten(0, 1))
            seen.cross[teacher.x] = (seen.weighed.T @ read).double()
        rows_of = slice(len(op.weight))
        matrix = torch.cat([teacher.weight[rows_of].T, teacher.bias[None, rows_of]]).double()
        return _solved(op, seen, seen.cross[teacher.x] @ matrix)

    def _projection(self, op: Linear, seen: _Rows, stream: Tensor, target: str) -> Linear:
        """A layer that joins the stream: the stream back to the original's."""
        wanted = self.known[target][..., : len(op.weight)] - stream[: self.count]
        return _solved(op, seen, (seen.weighed.T @ wanted.flatten(0, 1)).double())


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the fits of layers see of the tensor that they read.

    ``weighed`` has a row a token, its channels and a one, times its weight; ``gram`` is X^T diag(w) X,
    float64; ``cross`` the same with what the original's layers read in X's second place, by its tensor.
    """

    weighed: Tensor
    gram: Tensor
    cross: dict[str, Tensor] = field(default_factory=dict)


def _rounded(op: Linear, seen: _Rows, bits: npt.NDArray[np.uint8]) -> Linear:
    """The layer with codes for weights; its bias takes up what is left on average."""
    gram = seen.gram.numpy()
    mean = gram[-1, :-1] / gram[-1, -1]
    centred = gram[:-1, :-1] - gram[-1, -1] * np.outer(mean, mean)
    weight = op.weight.double().numpy()
    scale = rows.scales(weight, centred, bits)
    codes = rows.rounded(weight, centred, scale, bits, sweeps=0)
    scale = rows.refitted_scales(weight, centred, codes, scale)
    kept = codes * scale[:, None]
    bias = op.bias.double().numpy() + product(weight - kept, mean)
    return replace(op, weight=torch.from_numpy(kept).to(op.weight), bias=torch.from_numpy(bias).to(op.bias))


def _solved(op: Linear, seen: _Rows, cross: Tensor) -> Linear:
    """The layer with the weights of least squared error, drawn to those that it has.

    ``cross`` is X^T diag(w) T.
    """
    gram = seen.gram.clone()
    start = torch.cat([op.weight.T, op.bias[None]]).double()
    few = max(1.0, ENOUGH_ROWS * len(gram) / len(seen.weighed))
    penalty = USUAL_STRENGTH * few * gram.diagonal().mean()
    gram.diagonal().add_(penalty)
    found = torch.cholesky_solve(cross + penalty * start, torch.linalg.cholesky(gram))
    return replace(op, weight=found[:-1].T.to(op.weight).contiguous(), bias=found[-1].to(op.bias))


@dataclass(frozen=True)
class _Segment:
    """The operations of a block, or of what lies before or behind all of them.

    ``behind`` is the last block that is left out behind this one, whose stream its last projection is fitted
    to; None where there is none.
    """

    part: tuple[int, Block] | None
    behind: int | None
    operations: list[Operation]

    @property
    def key(self) -> tuple[object, ...]:
        return self.part, self.behind


def _segments(view: Graph, subnet: Subnet) -> list[_Segment]:
    found: list[_Segment] = []
    number: int | None = None
    for op in view.operations:
        if not found or block_of(op.out) != number:
            number = block_of(op.out)
            block = None if number is None else subnet.blocks[number]
            part = None if number is None or block is None else (number, block)
            found.append(_Segment(part, _behind(subnet, number), []))
        found[-1].operations.append(op)
    return found


def _behind(subnet: Subnet, number: int | None) -> int | None:
    """The last block that is left out right behind one."""
    last = None if number is None else subnet.behind(number)
    return None if last == number else last


def block_order(fitting: Fitting, subnet: Subnet, least: int) -> tuple[int, ...]:
    """The blocks of a subnet that has all of them, the one that is given up first at the end.

    One after the other the block whose going costs least goes, until ``least`` are left.
    """
    left, gone = list(subnet.kept), list[int]()
    while len(left) > least:
        losses = [(fitting(_without(subnet, [*gone, block])).loss.loss, block) for block in left]
        gone.append(min(losses)[1])
        left.remove(gone[-1])
    return (*left, *reversed(gone))


def _without(subnet: Subnet, blocks: list[int]) -> Subnet:
    return replace(subnet, blocks=tuple(None if i in blocks else b for i, b in enumerate(subnet.blocks)))
