"""What decides the size of a table: the inputs of its columns, and the functions that they share."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.cost.structure import Table
from hwnorm.cost.tables import table_parts


def table(*columns: list[int]) -> Table:
    packed = tuple(np.array(column, dtype=np.uint8).tobytes() for column in columns)
    return Table((len(columns[0]) - 1).bit_length(), packed)


def test_constants_and_address_bits_are_no_logic():
    """A constant column, an address bit and its complement are wires."""
    assert table_parts(table([0, 0, 0, 0], [0, 1, 0, 1], [1, 1, 0, 0])).inputs == ()


def test_equal_and_complementary_columns_are_one():
    """XOR and XNOR of both bits are one function of two inputs."""
    assert table_parts(table([0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0])).inputs == (2,)


def test_levels_count_the_functions_of_the_low_bits():
    """Halves AND and OR: one column of three inputs over two functions of two."""
    parts = table_parts(table([0, 0, 0, 1, 0, 1, 1, 1]))
    assert parts.inputs == (3,)
    assert parts.levels == (2, 1)


@given(st.lists(st.integers(0, 1), min_size=32, max_size=32))
def test_inputs_are_the_bits_that_change_the_value(column):
    """The number of inputs is that of address bits whose change changes an entry, if they are two or more."""
    values = np.array(column)
    depends = sum(any(values[i] != values[i ^ (1 << bit)] for i in range(32)) for bit in range(5))
    assert table_parts(table(column)).inputs == ((depends,) if depends > 1 else ())
