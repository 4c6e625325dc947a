"""Networks that an engine does not cover: refused in one line that names the layer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integer.random_integers import PIXEL_VALUES, attentions, datapath, networks, norms

from hwnorm.engine.engine import Engine
from hwnorm.engine.phase import Kind
from hwnorm.engine.program import compile_program, compile_programs
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.integers.network import IMAGES, PIXELS, IntegerNetwork, Pixels
from hwnorm.integers.operations import (
    Exponentials,
    IntegerAffine,
    IntegerContext,
    IntegerFunction,
    IntegerLinear,
    IntegerNorm,
    IntegerOperation,
    IntegerPatches,
    IntegerPool,
    IntegerScores,
    Table,
)
from hwnorm.layernorm.design import LayerNormDesign

ENGINE, IMAGE = Engine(3, 2, 4), (1, 4, 4)
CODES, SCORES, STREAM = FixedFormat(8, 7), FixedFormat(12, 8), FixedFormat(16, 12)


def linear(out: str, x: str, inputs: int, outputs: int, **changes: Any) -> IntegerLinear:
    given = {"weight": np.ones((outputs, inputs), np.int8), "bits": np.full(outputs, 4, np.uint8)}
    given |= {
        "format": CODES,
        "bias": np.zeros(outputs, np.int64),
        "multiplier": np.ones(outputs, np.int32),
        "shift": 3,
    }
    return IntegerLinear(out, x=x, layer=out, **given | changes)  # type: ignore[arg-type]


def function(out: str, x: str, before: FixedFormat, after: FixedFormat = CODES) -> IntegerFunction:
    return IntegerFunction(out, after, x, datapath(before, after, np.zeros(1 << before.width, int)), out)


def norm(out: str, x: str, channels: int = 4, heads: int = 1, **changes: Any) -> IntegerNorm:
    gamma, beta = FixedFormat(16, 14), FixedFormat(16, 8)
    given = {"channels": channels // heads, "lanes": 1, "input": STREAM, "output": CODES}
    design = LayerNormDesign(**given | {"gamma": gamma, "beta": beta} | changes)  # type: ignore[arg-type]
    codes = np.zeros(design.channels, np.int64)
    return IntegerNorm(out, design.output, x, design, codes, codes, heads, out)


def normed(**changes: Any) -> dict[str, IntegerOperation]:
    """The last stream of 16 bits, and a norm between it and the pool."""
    return with_(
        proj=altered("proj", format=changes.get("input", STREAM)),
        n=norm("n", "proj", **changes),
        pool=altered("pool", x="n"),
    )


def normed_of(channels: int) -> dict[str, IntegerOperation]:
    """Positions, a stream, its norm, a mean and logits, of so many channels."""
    return {
        "patches": operations()["patches"],
        "table": Table("table", STREAM, np.zeros((5, channels), np.int32)),
        "embed": linear("embed", "patches", 4, channels, format=STREAM, residual="table", first=1),
        "n": norm("n", "embed", channels),
        "pool": altered("pool", x="n"),
        "head": linear("head", "pool", channels, 3),
    }


def function_and_norm(queries: str) -> dict[str, IntegerOperation]:
    """A stream of 16 bits of which a function makes keys and values, and a norm ``n`` queries."""
    ops = operations()
    found = [
        *(ops["patches"], ops["table"], altered("embed", format=STREAM)),
        *(function("f", "embed", STREAM), norm("n", "embed")),
        *(linear(name, "f", 4, 4) for name in "kv"),
        *([linear("q", "n", 4, 4)] if queries == "q" else []),
        altered("scores", q=queries),
        *(ops[name] for name in ("p", "context", "proj", "pool", "head")),
    ]
    return {op.out: op for op in found}


def exponentials(least: int = 0, most: int = 127, after: FixedFormat = CODES) -> Exponentials:
    values = np.full(1 << SCORES.width, least)
    values[1 << (SCORES.width - 1) :] = most
    return Exponentials("p", after, "scores", datapath(SCORES, after, values))


def operations() -> dict[str, IntegerOperation]:
    """A block of attention of two heads: every layer that an engine has, by name."""
    found: list[IntegerOperation] = [
        IntegerPatches("patches", PIXELS, IMAGES, 2, 2),
        Table("table", STREAM, np.zeros((5, 4), np.int32)),
        linear("embed", "patches", 4, 4, residual="table", first=1),
        *(linear(name, "embed", 4, 4) for name in "qkv"),
        IntegerScores("scores", SCORES, "q", "k", 2, 0),
        exponentials(),
        IntegerContext("context", CODES, "p", "v", 2, 23, 23),
        linear("proj", "context", 4, 4, residual="embed"),
        IntegerPool("pool", CODES, "proj", 0, 5, 3, 4),
        linear("head", "pool", 4, 3),
    ]
    return {op.out: op for op in found}


def network(ops: dict[str, IntegerOperation]) -> IntegerNetwork:
    return IntegerNetwork(Pixels(PIXEL_VALUES.mean[:1], PIXEL_VALUES.std[:1]), tuple(ops.values()))


def with_(**changes: IntegerOperation) -> dict[str, IntegerOperation]:
    """Operations changed, or added before the pool."""
    ops = operations()
    end = {name: ops.pop(name) for name in ("pool", "head")}
    more = {name: op for name, op in changes.items() if name not in end}
    return {name: changes.get(name, op) for name, op in (ops | more | end).items()}


def changed(name: str, **changes: Any) -> dict[str, IntegerOperation]:
    return with_(**{name: replace(operations()[name], **changes)})


def altered(name: str, **changes: Any) -> IntegerOperation:
    return replace(operations()[name], **changes)


def without(*names: str) -> dict[str, IntegerOperation]:
    return {name: op for name, op in operations().items() if name not in names}


def in_order(*names: str) -> dict[str, IntegerOperation]:
    """These first, then the others as they were."""
    ops = operations()
    return {name: ops[name] for name in (*names, *ops)}


REFUSED: dict[str, tuple[Callable[[], dict[str, IntegerOperation]], str]] = {
    "two tables": (
        lambda: {"more": Table("more", STREAM, np.zeros((5, 4), np.int32))} | operations(),
        "a network begins with patches and positions",
    ),
    "patches beside": (
        lambda: with_(beside=linear("beside", "patches", 4, 4)),
        "a network begins with patches and positions",
    ),
    "wide positions": (
        lambda: changed("table", format=FixedFormat(20, 3), codes=np.full((5, 4), -(1 << 15) - 1)),
        "layer 'table': codes of more than 16 bits",
    ),
    "other tokens": (
        lambda: changed("embed", first=0),
        r"images and the network have 4 patches of 4 pixels, 5 patches of 4 pixels",
    ),
    "nothing reads": (
        lambda: with_(more=linear("more", "proj", 4, 4)),
        "layer 'more': nothing reads it",
    ),
    "logits of all tokens": (lambda: without("pool", "head"), "layer 'proj': logits are those of a linear"),
    "logits of tokens": (
        lambda: without("pool") | {"head": linear("head", "proj", 4, 3)},
        "layer 'head': logits of 5 tokens; those of one are built",
    ),
    "a stream of long ago": (
        lambda: with_(again=linear("again", "proj", 4, 4, residual="embed"), pool=altered("pool", x="again")),
        "layer 'again': is not added to all of 'proj'",
    ),
    "a stream from a token on": (lambda: changed("proj", first=1), "layer 'proj': is not added to all of"),
    "a function of a function": (
        lambda: with_(
            f=function("f", "proj", CODES),
            g=function("g", "f", CODES),
            pool=altered("pool", x="g"),
        ),
        "layer 'g': a function of 'f', which is no sum",
    ),
    "a function, and none": (
        lambda: {
            **{name: operations()[name] for name in ("patches", "table", "embed")},
            "f": function("f", "embed", CODES),
            **changed("v", x="f"),
        },
        "layer 'embed': a function and 'q' read it; one is built",
    ),
    "two functions": (
        lambda: {
            **{name: operations()[name] for name in ("patches", "table", "embed")},
            **{name: function(name, "embed", CODES) for name in "fg"},
            **with_(**{name: linear(name, x, 4, 4) for name, x in zip("qkv", "ffg", strict=True)}),
        },
        "layer 'embed': 2 functions read it",
    ),
    "keys and queries": (
        lambda: {name: op for name, op in changed("scores", k="q").items() if name != "k"},
        "layer 'q': goes to activations and keys; to one only",
    ),
    "channels and heads": (
        lambda: with_(more=linear("more", "q", 4, 4, residual="proj"), pool=altered("pool", x="more")),
        r"layer 'q': read as \[1, 2\] heads",
    ),
    "keys of two layers": (
        lambda: {
            **{name: operations()[name] for name in ("patches", "table", "embed", "q", "k")},
            "k2": linear("k2", "embed", 4, 4),
            **with_(
                q2=linear("q2", "proj", 4, 4),
                v2=linear("v2", "proj", 4, 4),
                scores2=IntegerScores("scores2", SCORES, "q2", "k2", 2, 0),
                p2=altered("p", out="p2", x="scores2"),
                context2=altered("context", out="context2", p="p2", v="v2"),
                proj2=linear("proj2", "context2", 4, 4, residual="proj"),
                pool=altered("pool", x="proj2"),
            ),
        },
        "layer 'k2': overwrites 'k' before all of it is read",
    ),
    "wide scores": (
        lambda: changed("q", format=FixedFormat(9, 7)),
        "layer 'q': s9f7; the engine multiplies 8 bits",
    ),
    "narrow exponentials": (
        lambda: with_(p=exponentials(most=7, after=FixedFormat(4, 3))),
        "layer 'p': s4f3; the engine multiplies 8 bits",
    ),
    "a negative exponential": (lambda: with_(p=exponentials(-1)), "layer 'p': a code is negative"),
    "no exponential": (lambda: with_(p=exponentials(0, 0)), "layer 'p': a code is negative, or that of"),
    "a large reciprocal": (
        lambda: with_(p=exponentials(0, 63)),
        "layer 'context': a reciprocal of more than 17 bits",
    ),
    "few digits": (
        lambda: changed("context", digits=15),
        "layer 'context': reciprocals of 15 digits; at least 16 are built",
    ),
    "scores before values": (
        lambda: in_order("patches", "table", "embed", "q", "k", "scores", "p", "v"),
        "layer 'scores': 'v' comes before its context",
    ),
    "a wide weight": (
        lambda: changed("v", weight=np.full((4, 4), 8, np.int8)),
        "layer 'v': a weight beyond -7 to 7",
    ),
    "a negative multiplier": (
        lambda: changed("v", multiplier=np.full(4, -1, np.int32)),
        "layer 'v': a multiplier that is negative",
    ),
    "a wide bias": (
        lambda: changed("v", bias=np.full(4, 1 << 28)),
        "layer 'v': an accumulator of 30 bits; 29 are built",
    ),
    "a negative mean": (lambda: changed("pool", multiplier=-1), "layer 'pool': a multiplier of -1"),
    "a large mean": (
        lambda: changed("pool", multiplier=1 << 20, shift=1),
        "layer 'pool': a multiplier of more than 17 bits",
    ),
    "a wide stream": (
        lambda: with_(
            proj=altered("proj", format=FixedFormat(17, 3)),
            f=function("f", "proj", FixedFormat(17, 3)),
            pool=altered("pool", x="f"),
        ),
        "layer 'proj': s17f3; codes of at most 16 bits are built",
    ),
    "a norm by head": (
        lambda: normed(heads=2),
        "layer 'n': norms of each head are not built into the engine",
    ),
    "a narrow norm": (
        lambda: normed(input=FixedFormat(12, 8)),
        "layer 'n': a norm of s12f8; codes of 16 bits are built",
    ),
    "a norm of few bits": (
        lambda: normed(output=FixedFormat(6, 3)),
        "layer 'n': s6f3; the engine multiplies 8 bits",
    ),
    "a norm alone": (
        lambda: normed(gamma=None, beta=None),
        "layer 'n': a norm without gamma and beta is not built",
    ),
    "a norm of no stream": (
        lambda: with_(
            more=linear("more", "proj", 4, 4, format=STREAM),
            n=norm("n", "more"),
            pool=altered("pool", x="n"),
        ),
        "layer 'n': a norm of 'more', which is not the stream that the engine holds",
    ),
    "a norm of an old stream": (
        lambda: with_(
            proj=altered("proj", format=STREAM),
            more=linear("more", "context", 4, 4, residual="proj"),
            n=norm("n", "proj"),
            last=linear("last", "n", 4, 4, residual="more"),
            pool=altered("pool", x="last"),
        ),
        "layer 'n': a norm of 'proj', which is not the stream",
    ),
    "a norm that is read by head": (
        lambda: function_and_norm("n"),
        "layer 'n': a norm that is read by head is not built yet",
    ),
    "an affine": (
        lambda: with_(
            a=IntegerAffine("a", CODES, "proj", np.ones(4, np.int32), np.zeros(4, np.int64), 0),
            pool=altered("pool", x="a"),
        ),
        "layer 'a': IntegerAffine is not built into the engine yet",
    ),
}


def test_a_norm_of_the_stream_is_a_phase():
    program = compile_program(network(normed()), ENGINE, IMAGE)
    assert [phase.name for phase in program.phases][-4:] == ["n", "pool", "head", "end"]
    (phase,) = (phase for phase in program.phases if phase.op == Kind.NORM)
    assert (phase.tiles, phase.segments[0].function) == (2, 0)


def test_the_network_as_it_is_runs():
    program = compile_program(network(operations()), ENGINE, IMAGE)
    assert [phase.name for phase in program.phases] == [
        *("embed", "q k v", "scores head 0", "scores head 1", "context head 0", "context head 1"),
        *("proj", "pool", "head", "end"),
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_covered_is_refused_in_one_line(name):
    ops, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as refused:
        compile_program(network(ops()), ENGINE, IMAGE)
    assert "\n" not in str(refused.value)


def test_a_total_holds_half_of_what_a_shift_drops():
    program = compile_program(network(changed("v", shift=60)), ENGINE, IMAGE)
    assert program.sizes.total_bits > 60


def test_queries_may_have_other_channels_than_values():
    """The last word of a head's queries has their lanes."""
    ops = with_(q=linear("q", "embed", 4, 10), k=linear("k", "embed", 4, 10))
    scores = compile_program(network(ops), ENGINE, IMAGE).phases[2]
    assert (scores.words, scores.lanes) == (2, 1)


SHARED: dict[str, tuple[dict[str, IntegerOperation], str]] = {
    "classes": (changed("head", **vars(linear("head", "pool", 4, 5))), r"networks of \[3, 5\] classes"),
    "digits": (changed("context", digits=22), r"networks of \[22, 23\] digits of reciprocals"),
    "patches": (
        with_(
            patches=IntegerPatches("patches", PIXELS, IMAGES, 4, 1),
        ),
        "networks of patches of 2 x 2 behind 1 tokens, 4 x 1 behind 1 tokens; all have the same",
    ),
}


@pytest.mark.parametrize("name", SHARED)
def test_networks_that_share_no_hardware_are_refused(name):
    ops, message = SHARED[name]
    both = [network(operations()), network(ops)]
    for alone in both:
        compile_program(alone, ENGINE, IMAGE)
    with pytest.raises(InputError, match=message):
        compile_programs(both, ENGINE, IMAGE)


def test_norms_of_other_channels_share_no_hardware():
    both = [network(normed()), network(normed_of(6))]
    with pytest.raises(InputError, match=r"networks of \[4, 6\] channels of norms; all have as many"):
        compile_programs(both, ENGINE, IMAGE)
    alone = compile_programs([network(normed()), network(operations())], ENGINE, IMAGE)
    assert [program.norms for program in alone] == [alone[0].norms] * 2
    assert len(alone[0].norms) == 1


def test_a_function_and_a_norm_read_a_stream():
    ops = function_and_norm("q")
    program = compile_program(network(ops), ENGINE, IMAGE)
    assert [phase.op for phase in program.phases[:3]] == [Kind.LINEAR, Kind.NORM, Kind.LINEAR]


def test_kernels_are_counted():
    """Of exponentials a phase numbers eight; networks on one engine have as many between them."""
    with pytest.raises(InputError, match="engine: more than 8 exponentials; no more can be numbered"):
        compile_programs([network(with_(p=exponentials(least))) for least in range(9)], ENGINE, IMAGE)
    found = compile_programs([network(with_(p=exponentials(least))) for least in range(8)], ENGINE, IMAGE)
    assert [program.phases[2].exponential for program in found] == list(range(8))


def test_sizes_are_counted():
    """A row says in 11 bits at which word its codes are."""
    message = "engine: 2049 words of a row's codes; at most 2048 can be"
    with pytest.raises(InputError, match=message):
        compile_program(network(with_(head=linear("head", "pool", 4, 2049))), ENGINE, IMAGE)
    compile_program(network(with_(head=linear("head", "pool", 4, 2048))), ENGINE, IMAGE)


@settings(max_examples=100)
@given(st.one_of(networks(), st.tuples(st.one_of(attentions(), norms()), st.just(np.zeros((1, 3, 4, 4))))))
def test_any_network_is_compiled_or_refused(given):
    """Nothing else is raised."""
    found, images, *_ = given
    with suppress(InputError):
        assert compile_program(found, ENGINE, images.shape[1:]).network is found
