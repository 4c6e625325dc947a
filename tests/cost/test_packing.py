"""Gates share lookup tables with their readers: who joins whom, and who cannot."""

from __future__ import annotations

import pytest

from hwnorm.cost.packing import INPUTS, Packing
from hwnorm.datapath.cells.bits import ONE, ZERO

#: Bits 2 to 9 are signals of stage 0; gates come after them.
SIGNALS = range(2, 10)


def classes(gates, read=(), later=(), summed=(), signals=()):
    """The class of each gate, by its bit; ``later`` are read by the next stage, all others by their own."""
    stage = [0] * (max(gates) + 1)
    reads = {bit: {1} if bit in later else {0} for bit in (*SIGNALS, *gates)}
    packing = Packing(gates, stage, reads)
    packing.sum(summed, 0)
    packing.signal(signals, 0)
    return dict(packing.classes())


def test_a_gate_joins_its_only_reader():
    """A gate before another gate takes no table of its own; one before a register does."""
    gates = {10: ("gate", (2, 3)), 11: ("complement", (10, 4))}
    assert classes(gates, later=[11]) == {10: "gate_packed", 11: "complement"}


def test_a_gate_with_two_readers_has_a_table():
    """Nobody builds it twice."""
    gates = {10: ("gate", (2, 3)), 11: ("complement", (10, 4)), 12: ("complement", (10, 5))}
    assert classes(gates, later=[11, 12])[10] == "gate"


@pytest.mark.parametrize("kind", ["later", "signals"])
def test_a_gate_that_is_read_as_it_is_has_a_table(kind):
    """By a register beside its reader, or by a comparison."""
    gates = {10: ("gate", (2, 3)), 11: ("complement", (10, 4))}
    assert classes(gates, **{kind: [10]})[10] == "gate"


def test_a_table_has_so_many_inputs_and_no_more():
    """A chain of gates is cut where the inputs would be one too many."""
    gates = {10: ("gate", (2, 3))}
    for bit in range(11, 11 + INPUTS):
        gates[bit] = ("gate", (bit - 1, bit - 7))
    found = classes(gates, later=[max(gates)])
    assert found[max(gates)] == "gate"
    assert sum(kind == "gate" for kind in found.values()) == 2
    assert found[10 + INPUTS - 2] == "gate"


def test_a_gate_before_a_sum_alone_is_in_the_carry_chain():
    """With another reader it is not."""
    gates = {10: ("mux", (2, 3, 4))}
    assert classes(gates, summed=[10]) == {10: "mux_summed"}
    assert classes(gates, summed=[10], signals=[10]) == {10: "mux"}


def test_a_choice_of_a_constant_before_a_register_is_its_reset():
    """Of two the inner one too if both constants agree; where they differ it is logic."""
    gates = {10: ("mux_constant", (2, ONE, 3)), 11: ("mux_constant", (4, 10, ONE))}
    assert set(classes(gates, later=[11]).values()) == {"mux_constant_reset"}
    gates[11] = ("mux_constant", (4, 10, ZERO))
    assert classes(gates, later=[11]) == {10: "mux_constant", 11: "mux_constant_reset"}


def test_a_choice_of_a_constant_that_logic_reads_is_no_reset():
    """The register behind it is not all that reads it."""
    gates = {10: ("mux_constant", (2, ONE, 3)), 11: ("gate", (10, 4))}
    found = classes(gates, later=[11])
    assert found == {10: "mux_constant_packed", 11: "gate"}


def test_unread_gates_are_left_out():
    """What nobody reads is not built."""
    packing = Packing({10: ("gate", (2, 3))}, [0] * 11, {2: {0}})
    assert list(packing.classes()) == []
