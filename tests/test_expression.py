"""Expressions: text in and out, the same values in NumPy and PyTorch, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import expressions

from hwnorm import hints
from hwnorm.errors import InputError
from hwnorm.expression import X, apply, brief, constant, parse
from hwnorm.operators import registry

POINTS = np.concatenate([np.linspace(-4, 4, 41), [-7.3, 0.01, 6.9]])


@given(expression=expressions())
def test_printed_text_reads_back_as_the_same_expression(expression):
    """parse(str(e)) == e, with the same hash, over all registered operators."""
    again = parse(str(expression))
    assert again == expression
    assert hash(again) == hash(expression)


@given(expression=expressions())
def test_torch_module_equals_numpy(expression):
    """The module gives the float64 reference's values, in the shape that it is given."""
    x = torch.from_numpy(POINTS).reshape(4, 11)
    want = torch.tensor(expression.numpy(POINTS)).reshape(4, 11)
    torch.testing.assert_close(expression.to_module()(x), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(registry()))
def test_what_is_not_a_number_is_the_same_everywhere(name):
    """No operator breaks off, and PyTorch has none where NumPy has none."""
    x = np.array([np.nan, 1.25, np.nan])
    for text in registry()[name].examples:
        expression = parse(text)
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            found = expression.to_module()(torch.tensor(x, dtype=dtype)).isnan().tolist()
            assert found == np.isnan(expression.numpy(x)).tolist(), text


@pytest.mark.parametrize("cells", [256, 512, 1024])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_types_of_16_bits_take_no_other_cell(cells, dtype):
    """Their own arithmetic would take a neighbour's value, and the place behind the last of a large table."""
    values = ", ".join(str(i) for i in range(cells))
    rom = parse(f"rom(x, -4, 4, {values})")
    x = torch.linspace(-5, 5, 4001).to(dtype)
    for narrow, wide in ((x, x.double()), (x.clone().requires_grad_(), x.double())):
        got = rom.to_module()(narrow)
        assert got.dtype == dtype
        assert torch.equal(got.detach(), torch.tensor(rom.numpy(wide.numpy())).to(dtype))


@given(expression=expressions(), low=st.floats(-8, 8), width=st.floats(0, 8))
def test_intervals_hold_every_subexpression(expression, low, width):
    """The interval of each subexpression holds its values at points of the interval of x."""
    bounds = expression.intervals((low, low + width))
    x = low + width * np.linspace(0, 1, 17)
    for part in expression.walk():
        values, (least, most) = part.numpy(x), bounds[part]
        slack = 1e-9 * (1 + max(abs(least), abs(most)))
        assert least - slack <= values.min()
        assert values.max() <= most + slack


@pytest.mark.parametrize(
    ("text", "at", "value"),
    [
        ("2.58*tanh(x)+0.24", 0.5, 2.58 * math.tanh(0.5) + 0.24),
        ("-x*x", 3.0, -9.0),
        ("-(x - 2)*x", 3.0, -3.0),
        ("1 - x - 2 - (x - 1)", 3.0, -6.0),
        ("+x/4", 3.0, 0.75),
        ("2*3*x + 1e-3", 3.0, 18.001),
        (" max( x ,\n 1 ) ", -3.0, 1.0),
        ("x  # slope\n+ 0.5*tanh(x)", 1.0, 1.0 + 0.5 * math.tanh(1.0)),
        ("# a comment\r\n2*x # x\r\n\r\n#\n -1", 3.0, 5.0),
        ("clip(x, 2.5)", -3.0, -2.5),
        ("2/x", 4.0, 0.5),
        ("1 - x/(x + 1)", 3.0, 0.25),
    ],
)
def test_text_means_what_arithmetic_says(text, at, value):
    """Precedence, signs, division by a number, blanks and line breaks are read as usual."""
    assert parse(text).numpy(np.array([at])) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x*2", "2*x"),
        ("x - 2", "x + -2"),
        ("2 + x", "x + 2"),
        ("x + 2*3", "x + 6"),
        ("x - 0", "x + 0"),
        ("x/4", "0.25*x"),
        ("3*(2*x)", "6*x"),
        ("1*x", "x"),
        ("x*x", "square(x)"),
        ("-x*x", "-square(x)"),
        ("abs(-x)", "abs(x)"),
        ("(-x)*(-x)", "square(x)"),
        ("x*-abs(x)", "-(x*abs(x))"),
        ("x - -abs(x)", "x + abs(x)"),
        ("-x + abs(x)", "abs(x) - x"),
        ("-(x - abs(x))", "abs(x) - x"),
        ("1/(2*x)", "reciprocal(2*x)"),
        ("clip(x, -2, 2)", "clip(x, 2)"),
        ("select(-1, 2, x)", "x"),
        ("select(x, x/2, 0.5*x)", "0.5*x"),
    ],
)
def test_equal_formulas_become_equal_expressions(one, other):
    """Constants are folded and stand in one place, so that equal parts are shared."""
    assert parse(one) == parse(other)


def test_shared_parts_are_walked_once():
    """A part that is used twice is one node, and arguments come before what uses them."""
    expression = parse("tanh(x)*abs(tanh(x)) + tanh(x)")
    nodes = list(expression.walk())
    parts = ["x", "tanh(x)", "abs(tanh(x))", "tanh(x)*abs(tanh(x))"]
    assert [str(node) for node in nodes] == [*parts, str(expression)]


@pytest.mark.parametrize(
    ("text", "complaint", "marked"),
    [
        ("2*tanh(x", "'(' was never closed", "("),
        ("x +* 2", "invalid syntax", "*"),
        ("x + foo(x)", "unknown operator 'foo'", "foo"),
        ("0.5*y", "unknown name 'y'; the variable is x", "y"),
        ("x + tanh(x, x)", "tanh takes 1 argument", "tanh"),
        ("x + clip(x, x)", "argument 2 of clip must be a number", "clip"),
        ("x + clip(x, 0)", "clip's limit is 0; it must be positive", "clip"),
        ("1 + x/0", "division by 0; it must not be zero", "0"),
        ("x/(1 - 1)", "division by 0; it must not be zero", "1"),
        ("1 + log2(0 - 1)", "log2's argument is -1; it must be positive", "log2"),
        ("1 + shift(x, 0.5)", "shift's places are 0.5; a whole number from -32 to 32", "shift"),
        ("1 + shift(x, 99)", "shift's places are 99; a whole number from -32 to 32", "shift"),
        ("clip(x, 2, 1)", "clip's limits are 2 and 1; the second must be the greater", "clip"),
        ("pwl(x, 1, 2)", "pwl takes 5 to 131 argument(s); 3 given", "pwl"),
        ("pwl(x, 1, 2, 3, 4, 5)", "pwl takes x and pairs of numbers; 5 numbers given", "pwl"),
        ("pwl(x, 1, 0, 1, 0)", "pwl's points stand at x = 1 and then 1; their x must increase", "pwl"),
        ("rom(x, 0, 1, 1, 2, 3)", "rom has 3 values; their number must be a power of two", "rom"),
        ("rom(x, 0, 3, 1, 2)", "2 cells from 0 to 3 are 1.5 wide; the width must be a power of", "rom"),
        ("rom(x, 1, 0, 1, 2)", "rom's 2 cells from 1 to 0 are -0.5 wide", "rom"),
        ("x ** 2", "is not known", "x ** 2"),
        ("x + True", "is not known", "True"),
        ("x + 1e30", "no fixed-point form", "1e30"),
        ("x + 1e20*1e20", "no fixed-point form", "1e20*1e20"),
        ("tanh(*x)", "is not known", "*x"),
        ("x.real", "is not known", "x.real"),
        ("tanh(x=1)", "is not known", "tanh"),
        ("ü + 2*z", "unknown name 'ü'", "ü"),
        ("x + 'ü' + z", "is not known", "'ü'"),
    ],
)
def test_a_mistake_is_shown_with_a_caret_under_it(text, complaint, marked):
    """The text is shown, and the caret stands under the first character of what is wrong."""
    with pytest.raises(InputError) as caught:
        parse(text)
    message, shown, caret = str(caught.value).split("\n")
    assert complaint in message
    assert shown == f"  {text}"
    column = caret.index("^") - 2
    assert caret.strip() == "^"
    assert text[column:].startswith(marked)


@pytest.mark.parametrize("text", ["", "  \n", "# a note\n# another"])
def test_an_empty_text_is_called_so(text):
    with pytest.raises(InputError, match=r"^expression: is empty; something such as .* is needed$"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x^2", "square(x)"),
        ("x**3", "square(x)"),
        ("2*inv(x)", "1/x is reciprocal(x)"),
        ("log(x)", "0.6931471805599453*log2(x)"),
        ("0.5*x0", "the variable is x; write x"),
        ("0.5*X", "the variable is x; write x"),
        ("ARG0 + 1", "the variable is x; write x"),
        ("\N{MINUS SIGN}0.5*x", "U+2212 '\N{MINUS SIGN}' stands in no formula; write -"),
        ("2\N{MULTIPLICATION SIGN}x", "write *"),
        ("np.tanh(x)", "operators stand alone, as tanh(x)"),
        ("0,5*x", "a decimal point is a point"),
        ("Tanh(x)", "it is tanh"),
        ("sigmoit(x)", "sigmoid is like it"),
        ("gelu(x)", "0.5*x*(1 + erf("),
    ],
)
def test_what_other_tools_write_is_told_how_to_write_here(text, hint):
    with pytest.raises(InputError) as caught:
        parse(text)
    assert hint in str(caught.value).split("\n")[0]


def test_hints_can_be_parsed():
    """What a hint says to write is an expression."""
    for hint in hints._FUNCTIONS.values():
        _, _, formula = hint.rpartition(" is ")
        parse(formula.replace("a / b", "2/x").replace("low, high", "1").replace("a, b", "1, 2"))


@pytest.mark.parametrize("text", ["-" * 400 + "x", "+".join(["x"] * 400), "abs(" * 160 + "x" + ")" * 160])
def test_what_is_nested_too_deeply_is_refused(text):
    """Deep nesting is an InputError, never a RecursionError."""
    with pytest.raises(InputError):
        parse(text)


@pytest.mark.parametrize("shape", ["-(1 - {})", "abs({})", "x + ({})", "tanh(0.5*{})"])
def test_what_may_be_read_can_be_walked_and_printed(shape):
    """At the deepest nesting that is read, nothing else runs out of stack."""
    text, expression = "x", X
    while True:
        text = shape.format(text)
        try:
            expression = parse(text)
        except InputError:
            break
    assert parse(str(expression)) == expression
    assert len(expression.numpy(POINTS)) == len(POINTS)


def test_apply_checks_its_arguments():
    """Built without text, an expression is checked as well."""
    with pytest.raises(InputError, match="unknown operator 'foo'"):
        apply("foo", X)
    with pytest.raises(InputError, match=r"add takes 2 argument\(s\); 1 given"):
        apply("add", X)
    assert apply("square", constant(3.0)) == constant(9.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("log2(x)", "log2's argument runs from -3 to 4; it must be positive"),
        ("1/(x - 2)", "reciprocal's argument runs from -5 to 2; it must not hold zero"),
        ("reciprocal(abs(x))", "reciprocal's argument runs from 0 to 4; it must not hold zero"),
        ("sqrt(x)", "sqrt's argument runs from -3 to 4; it must not be negative"),
        ("rsqrt(abs(x))", "rsqrt's argument runs from 0 to 4; it must be positive"),
        ("exp(200*x)", "exp's argument runs from -600 to 800; it must be at most 709"),
        ("exp2(300*x)", "exp2's argument runs from -900 to 1200; it must be less than 1024"),
        ("square(exp(150*x))", "square's result runs from 0 to inf; it must be finite"),
    ],
)
def test_a_domain_that_is_left_is_named(text, complaint):
    """One line says which operator, what its argument may be, and what it must be."""
    with pytest.raises(InputError) as caught:
        parse(text).intervals((-3, 4))
    assert str(caught.value) == complaint


@pytest.mark.parametrize("text", ["3", "2*3 + 1"])
def test_a_constant_expression_still_has_the_shape_of_x(text):
    """A constant evaluates, in both renderings, to an array of x's shape."""
    expression = parse(text)
    assert expression.is_constant
    assert expression.numpy(POINTS).shape == POINTS.shape
    assert expression.to_module()(torch.zeros(2, 3)).shape == (2, 3)


def test_an_expression_at_another_one_is_their_composition():
    """f.at(g) computes f(g(x)), and simplifies as any expression does."""
    x = np.linspace(-3, 3, 41)
    f, g = parse("2*tanh(x) - clip(x, 1)"), parse("0.5*x + 1")
    np.testing.assert_allclose(f.at(g).numpy(x), f.numpy(g.numpy(x)))
    assert parse("0.5*x").at(parse("4*x")) == parse("2*x")


def test_a_formula_for_reading_has_no_long_lists():
    """Four numbers of a table and how many more there are; short calls and what is around stay."""
    entries = ", ".join(f"{k}.5" for k in range(8))
    assert brief(f"2*rom(4*x, -1, 1, {entries}) - 0.25") == "2*rom(4*x, -1, 1, 0.5, 1.5, ... 6 more) - 0.25"
    assert brief("clip(x, -1, 1) + select(x, 1, 2)") == "clip(x, -1, 1) + select(x, 1, 2)"
