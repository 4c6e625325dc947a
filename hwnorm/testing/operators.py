"""The conformance suite of operators: one check a facet, each over the operator's own examples.

A check takes the name of a registered operator and raises AssertionError with one line: operator,
facet, and the place at which it is wrong. Random points are drawn with a fixed seed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from hwnorm.datapath.ir import Cell, Datapath, run_cell
from hwnorm.emit import emit_package
from hwnorm.errors import InputError
from hwnorm.expression import Expression, parse
from hwnorm.fixed import MAX_WIDTH, FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.operators import operator
from hwnorm.operators.base import Interval
from hwnorm.targets.target import load_target
from hwnorm.verify import verify_packages
from hwnorm.verify.toolchain import find_toolchain

#: Where x is in the examples.
_X: Interval = (-8.0, 8.0)
#: Input formats over that range, and the fractional bits of the output, that examples are lowered for.
_FORMATS = ((FixedFormat(8, 4), 4), (FixedFormat(6, 2), 6), (FixedFormat(7, 3), 1))
#: An input format that is too wide to be certified code by code, and the output's fractional bits.
_WIDE, _WIDE_FRAC = FixedFormat(17, 13), 4
_TARGET, _CLOCK_MHZ = "xcup", 100.0
#: So many examples of each operator are rendered in Verilog and HLS.
_RENDERED = 2
#: So many random boxes of arguments are drawn for each use of an operator.
_BOXES = 40

#: Intervals of all arguments of an operator.
Box = tuple[Interval, ...]


def _fail(name: str, facet: str, what: str) -> NoReturn:
    raise AssertionError(f"{name}: {facet}: {what}")


def _examples(name: str) -> dict[str, Expression]:
    """The examples as they are written, and what they mean."""
    found = {}
    for text in operator(name).examples:
        try:
            found[text] = parse(text)
            found[text].intervals(_X)
        except InputError as error:
            _fail(name, "examples", f"{text!r}: {str(error).splitlines()[0]}")
        if not any(part.kind == name for part in found[text].walk()):
            _fail(name, "examples", f"{text!r} reads as {found[text]}, which does not use {name}")
    return found


def _uses(name: str) -> Iterator[tuple[Expression, Box]]:
    """Each use of the operator in the examples, and what its arguments may be there."""
    for expression in _examples(name).values():
        bounds = expression.intervals(_X)
        for part in expression.walk():
            if part.kind == name:
                yield part, tuple(bounds[arg] for arg in part.args)


def _boxes_within(box: Box, rng: np.random.Generator) -> Iterator[Box]:
    """The box itself, random ones in it, and single points of it."""
    yield box
    for number in range(_BOXES):
        ends = [np.sort(rng.uniform(low, high, 2)) for low, high in box]
        yield tuple((float(a), float(a) if number % 5 == 0 else float(b)) for a, b in ends)


def _boxes_anywhere(part: Expression, box: Box, rng: np.random.Generator) -> Iterator[Box]:
    """Random boxes of any size about any place; constants stay."""
    for _ in range(_BOXES):
        centre = rng.normal(size=len(box)) * 10.0 ** rng.uniform(-2, 2)
        radius = 10.0 ** rng.uniform(-3, 2, len(box))
        drawn = [(float(c - r), float(c + r)) for c, r in zip(centre, radius, strict=True)]
        yield tuple(
            old if arg.is_constant else new for arg, old, new in zip(part.args, box, drawn, strict=True)
        )


def _points(part: Expression, box: Box, count: int) -> list[float | np.ndarray]:
    """A grid of arguments over a box, flat, its corners included; constants are floats."""
    axes = [np.unique(np.linspace(*ends, 1 if arg.is_constant else count)) for arg, ends in _pairs(part, box)]
    grid = np.meshgrid(*axes, indexing="ij")
    return [arg.value if arg.is_constant else g.ravel() for arg, g in zip(part.args, grid, strict=True)]


def _pairs(part: Expression, box: Box) -> list[tuple[Expression, Interval]]:
    return list(zip(part.args, box, strict=True))


def _at(part: Expression, box: Box) -> str:
    """The operator with the arguments' intervals, for a message."""
    args = (f"{a:g}" if a == b else f"{a:g}..{b:g}" for a, b in box)
    return f"{part.kind}({', '.join(args)})"


def check_documentation(name: str) -> None:
    """The class docstring shows the call form, such as ``clip(x, c)``.

    Raises:
        AssertionError: it does not.
    """
    part = next(part for part, _ in _uses(name))
    # Arithmetic is printed with its sign, not by name.
    form = f"``{name}(" if str(part).startswith(f"{name}(") else "``"
    if form not in (type(operator(name)).__doc__ or ""):
        _fail(name, "documentation", f"the class docstring does not show the call form, {form}...``")


def check_text(name: str) -> None:
    """Every example, printed and read again, is the same expression.

    Raises:
        AssertionError: it is another one, or cannot be read.
    """
    for expression in _examples(name).values():
        try:
            again = parse(str(expression))
        except InputError as error:
            _fail(name, "text", f"{str(expression)!r} is printed: {str(error).splitlines()[0]}")
        if again != expression:
            _fail(name, "text", f"{str(expression)!r} is printed, which reads as {str(again)!r}")


def check_interval(name: str) -> None:
    """The interval holds the values at a grid of points, in the examples' boxes and in any others.

    A box may be refused by an InputError of one line, unless it lies within an example's.

    Raises:
        AssertionError: a value is outside or not finite, or a box of an example is refused.
    """
    rng = np.random.default_rng(0)
    for part, whole in _uses(name):
        for box in _boxes_within(whole, rng):
            try:
                _compare_interval(part, box)
            except InputError as error:
                _fail(name, "interval", f"{_at(part, box)}, part of an example, is refused: {error}")
        for box in _boxes_anywhere(part, whole, rng):
            try:
                _compare_interval(part, box)
            except InputError as error:
                if "\n" in str(error):
                    _fail(name, "interval", f"{_at(part, box)} is refused in more than one line")


def _compare_interval(part: Expression, box: Box) -> None:
    low, high = operator(part.kind).interval(*box)
    with np.errstate(all="ignore"):
        values = operator(part.kind).numpy(*_points(part, box, 5))
    slack = 1e-9 * (1 + max(abs(low), abs(high)))
    for value in (np.min(values), np.max(values)):
        # Written so that what is not a number is outside.
        if not (low - slack <= value <= high + slack and np.isfinite(value)):
            _fail(part.kind, "interval", f"{_at(part, box)} is {value:g}, outside {low:g}..{high:g}")


def check_pytorch(name: str) -> None:
    """The examples' modules give what NumPy does, in double precision, and keep single precision.

    Raises:
        AssertionError: they do not.
    """
    x = np.concatenate([np.linspace(*_X, 129), np.random.default_rng(0).uniform(*_X, 128)])
    for expression in _examples(name).values():
        want = expression.numpy(x)
        with torch.no_grad():
            got = expression.to_module()(torch.from_numpy(x)).numpy()
            single = expression.to_module()(torch.from_numpy(x).float())
        wrong = ~np.isclose(got, want, rtol=1e-12, atol=1e-12)
        if wrong.any():
            at = int(wrong.argmax())
            _fail(name, "pytorch", f"{expression} at {x[at]:g} is {got[at]:g}; NumPy says {want[at]:g}")
        if single.dtype != torch.float32:
            _fail(name, "pytorch", f"{expression} makes {single.dtype} of torch.float32")


def check_gradient(name: str) -> None:
    """The examples' gradients are finite, and the slope wherever there is one.

    There is one where the quotients of the differences to either side agree. Of an operator that goes in
    steps the gradient, summed up, is off the function by half a step at most.

    Raises:
        AssertionError: they are not.
    """
    check = _compare_sum if operator(name).stepped else _compare_slope
    for expression in _examples(name).values():
        check(name, expression)


def _gradient(name: str, expression: Expression, at: np.ndarray) -> np.ndarray:
    x = torch.from_numpy(at).requires_grad_()
    y = expression.to_module()(x)
    if not y.requires_grad:  # a function that is constant need not be connected to x
        return np.zeros_like(at)
    (found,) = torch.autograd.grad(y.sum(), x)
    gradient = found.numpy()
    if not np.isfinite(gradient).all():
        i = int(np.argmin(np.isfinite(gradient)))
        _fail(name, "gradient", f"{expression} at {at[i]:g} has gradient {gradient[i]:g}; it must be finite")
    return gradient


def _compare_slope(name: str, expression: Expression) -> None:
    step = 1e-6
    at = np.random.default_rng(0).uniform(*_X, 200)
    gradient = _gradient(name, expression, at)
    before, here, after = (expression.numpy(at + d) for d in (-step, 0.0, step))
    left, right, slope = (here - before) / step, (after - here) / step, (after - before) / (2 * step)
    noise = 1e-6 + 1e-8 * np.abs(here)
    smooth = np.isclose(left, right, rtol=1e-4, atol=1e-4)
    wrong = smooth & ~np.isclose(gradient, slope, rtol=1e-5, atol=noise)
    if wrong.any():
        i = int(wrong.argmax())
        what = f"{expression} at {at[i]:g} has gradient {gradient[i]:g}; its slope is {slope[i]:g}"
        _fail(name, "gradient", what)


def _compare_sum(name: str, expression: Expression) -> None:
    at = np.linspace(*_X, 40_001)
    gradient, values = _gradient(name, expression, at), expression.numpy(at)
    width = at[1] - at[0]
    summed = values[0] + np.concatenate([[0.0], np.cumsum((gradient[1:] + gradient[:-1]) / 2 * width)])
    off = np.abs(summed - values)
    most = np.abs(np.diff(values)).max() / 2 + width * np.abs(gradient).max()
    if off.max() > most:
        i = int(off.argmax())
        what = f"{expression}: the gradient's sum to {at[i]:g} is {summed[i]:g}; the value is {values[i]:g}"
        _fail(name, "gradient", what)


def check_steepness(name: str) -> None:
    """In random boxes no two points that differ in one argument are farther apart than it allows.

    Raises:
        AssertionError: two points are.
    """
    rng = np.random.default_rng(0)
    for part, whole in _uses(name):
        for box in _boxes_within(whole, rng):
            bounds = operator(name).steepness(*box)
            if len(bounds) != len(box):
                _fail(name, "steepness", f"{_at(part, box)}: {len(bounds)} given for {len(box)} arguments")
            for position, arg in enumerate(part.args):
                if not arg.is_constant:
                    _compare_steepness(part, box, position, bounds[position], rng)


def _compare_steepness(
    part: Expression, box: Box, position: int, bound: float, rng: np.random.Generator
) -> None:
    """Pairs of points a wide and a narrow distance apart, in one argument."""
    op, count = operator(part.kind), 32
    args = [arg.value if arg.is_constant else rng.uniform(*ends, count) for arg, ends in _pairs(part, box)]
    low, high = box[position]
    here = rng.uniform(low, high, count)
    there = np.clip(here + (high - low) * 10.0 ** -rng.uniform(0, 4, count), low, high)
    with np.errstate(all="ignore"):
        first, second = (op.numpy(*args[:position], place, *args[position + 1 :]) for place in (here, there))
    rise, run = np.abs(second - first), there - here
    allowed = np.where(run > 0, bound * run, 0.0) * (1 + 1e-9) + 1e-12 * (1 + np.abs(first))
    wrong = np.broadcast_to(~(rise <= allowed), (count,))
    if wrong.any():
        i = int(wrong.argmax())
        found = f"{rise[i] / run[i]:g} where argument {position + 1} is {here[i]:g}..{there[i]:g}"
        _fail(part.kind, "steepness", f"{_at(part, box)} is said to be at most {bound:g}; it is {found}")


def check_lowering(name: str) -> None:
    """Lowered for small formats, examples are within an ulp at every code, and no signal overflows.

    Raises:
        AssertionError: they are not, or cannot be lowered.
    """
    for expression in _examples(name).values():
        for fmt, frac in _FORMATS:
            datapath = _lowered(name, expression, fmt, frac)
            exact = expression.numpy(fmt.to_float(fmt.codes())) * 2.0**frac
            error = np.abs(datapath.evaluate(fmt.codes()) - exact)
            case = f"{expression}, {fmt} to {datapath.output}"
            if not error.max() < 1.0:
                worst = int(error.argmax()) + fmt.min_code
                _fail(name, "lowering", f"{case}: {error.max():.3f} ulp off at code {worst}")
            _compare_signals(name, case, datapath)


def check_bound(name: str) -> None:
    """For a wide input, the bound that intervals and steepness prove is no less than the real error.

    One example is enough here; a bound that cannot be met, as of what jumps, is refused.

    Raises:
        AssertionError: an error is larger than what was proven.
    """
    expression = next(iter(_examples(name).values()))
    exact = expression.numpy(_WIDE.to_float(_WIDE.codes())) * 2.0**_WIDE_FRAC
    output = FixedFormat.holding(int(np.floor(exact.min())), int(np.ceil(exact.max())), _WIDE_FRAC)
    try:
        datapath = lower(expression, _WIDE, output, load_target(_TARGET), _CLOCK_MHZ, fuse=False)
    except InputError:
        return
    error = np.abs(datapath.evaluate(_WIDE.codes()) - exact)
    bound = datapath.certificate.max_error_ulp
    if not error.max() <= bound + 1e-9:
        worst = int(error.argmax()) + _WIDE.min_code
        what = f"{expression}, {_WIDE} to {output}: {error.max():.3f} ulp off at code {worst}"
        _fail(name, "bound", f"{what}; {bound:.3f} was proven")


def _compare_signals(name: str, case: str, datapath: Datapath) -> None:
    """Every signal, computed without a limit of its width, is within its format."""
    values: list[np.ndarray] = []
    for node in datapath.nodes:
        if node.cell is Cell.INPUT:
            values.append(datapath.input.codes())
            continue
        args, formats = [values[a] for a in node.args], [datapath.nodes[a].fmt for a in node.args]
        wide = node if node.overflow == "sat" else replace(node, fmt=FixedFormat(MAX_WIDTH, node.fmt.frac))
        codes = run_cell(wide, args, formats)
        if codes.min() < node.fmt.min_code or codes.max() > node.fmt.max_code:
            _fail(name, "lowering", f"{case}: signal {node.name} leaves its format {node.fmt}")
        values.append(codes)


def _lowered(name: str, expression: Expression, fmt: FixedFormat, frac: int) -> Datapath:
    """The expression's datapath, to the narrowest output of ``frac`` fractional bits that holds it."""
    exact = expression.numpy(fmt.to_float(fmt.codes())) * 2.0**frac
    if not np.isfinite(exact).all():
        _fail(name, "lowering", f"{expression} is not finite over {fmt}")
    target = load_target(_TARGET)
    try:
        output = FixedFormat.holding(int(np.floor(exact.min())), int(np.ceil(exact.max())), frac)
        # A unit that stands for the whole expression would hide the operator's own lowering.
        return lower(expression, fmt, output, target, _CLOCK_MHZ, fuse=False)
    except (InputError, ValueError) as error:  # a format that is too wide is a ValueError
        _fail(name, "lowering", f"{expression}, {fmt} to {frac} fractional bits: {error}")


def check_renderings(names: Sequence[str]) -> None:
    """Verilog and HLS of the first examples equal their datapaths for every code, and PyTorch is near.

    All operators share one simulation. The extra ``verify`` must be installed.

    Raises:
        AssertionError: a check of :func:`hwnorm.verify.verify_packages` fails.
        InputError: a simulator is missing.
        ToolError: a simulator failed.
    """
    find_toolchain()
    root = Path(tempfile.mkdtemp(prefix="hwnorm-testing."))
    cases: list[tuple[str, Expression, Path]] = []
    for name in names:
        for number, expression in enumerate(list(_examples(name).values())[:_RENDERED]):
            folder = root / f"{name}_example{number}"
            emit_package(_lowered(name, expression, *_FORMATS[0]), folder.name, folder)
            cases.append((name, expression, folder))
    verdicts = verify_packages([folder for *_, folder in cases])
    shutil.rmtree(root)  # if a simulator failed, its message names files in there
    for (name, expression, _), verdict in zip(cases, verdicts, strict=True):
        if not verdict.passed:
            _fail(name, "renderings", f"{expression}: {'; '.join(verdict.problems())}")


#: Facet -> its check, all but the renderings, which are better checked for many operators at once.
CHECKS: dict[str, Callable[[str], None]] = {
    "documentation": check_documentation,
    "text": check_text,
    "interval": check_interval,
    "pytorch": check_pytorch,
    "gradient": check_gradient,
    "steepness": check_steepness,
    "lowering": check_lowering,
    "bound": check_bound,
}


def check_operator(name: str) -> None:
    """Every check of one operator.

    Raises:
        AssertionError: the first check that fails: operator, facet and place.
        InputError: there is no such operator, or a simulator is missing.
        ToolError: a simulator failed.
    """
    for check in CHECKS.values():
        check(name)
    check_renderings([name])
