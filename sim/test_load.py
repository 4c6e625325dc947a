"""Tables that are loaded at run time: other words and other places, and then the first ones again.

Runs in the ``sim`` folder of a package of kind ``loaded``. Every word is written as its complement, and the
place of each function as that of the next one: each must give the complement of what the next one gives.
"""

import json
import re
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

MANIFEST = json.loads(Path("../manifest.json").read_text(encoding="utf-8"))
FUNCTIONS = len(json.loads(Path("../loaded.json").read_text(encoding="utf-8"))["functions"])
WORDS, PLACES = (
    [int(line, 16) for line in Path("..", name).read_text(encoding="ascii").split()]
    for name in MANIFEST["memories"]
)
#: So many of the vectors are sent.
MOST = 4096
VECTORS = [
    tuple(map(int, line.split())) for line in Path("vectors.txt").read_text(encoding="ascii").splitlines()
]
VECTORS = VECTORS[:: -(-len(VECTORS) // MOST)]


def width(fmt):
    """Bits of a format such as s10f6."""
    return int(re.fullmatch(r"[su](\d+)f-?\d+", fmt)[1])


IN, OUT = width(MANIFEST["input"]), width(MANIFEST["output"])
CODE = IN - (len(PLACES) - 1).bit_length()


def tdata(code, bits):
    """A code in every lane."""
    size = -(-bits // 8) * 8
    return sum((code & ((1 << size) - 1)) << (size * lane) for lane in range(MANIFEST["lanes"]))


async def load(dut, words, places):
    """Write both memories."""
    top = 1 << (len(dut.load_address) - 1)
    dut.load_valid.value = 1
    for address, data in [*enumerate(words), *((top | n, place) for n, place in enumerate(places))]:
        dut.load_address.value = address
        dut.load_data.value = data
        await RisingEdge(dut.aclk)
    dut.load_valid.value = 0
    await ClockCycles(dut.aclk, 2)


async def send(dut, pairs):
    """Codes one a cycle, and what must come back for each."""
    results = []
    for cycle in range(len(pairs) + MANIFEST["latency"]):
        dut.s_axis_tvalid.value = cycle < len(pairs)
        dut.s_axis_tdata.value = tdata(pairs[min(cycle, len(pairs) - 1)][0], IN)
        await RisingEdge(dut.aclk)
        if dut.m_axis_tvalid.value == 1:
            results.append(int(dut.m_axis_tdata.value))
    assert len(results) == len(pairs)
    for (code, expected), got in zip(pairs, results, strict=True):
        assert got == tdata(expected, OUT), f"input code {code}: TDATA must be {tdata(expected, OUT):x}"


@cocotb.test()
async def other_tables(dut):
    """What was loaded is computed, and after the first tables are loaded again, what they say."""
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    for name in ("aresetn", "s_axis_tvalid", "s_axis_tlast", "s_axis_tuser", "load_valid"):
        getattr(dut, name).value = 0
    dut.load_address.value = 0
    dut.load_data.value = 0
    dut.m_axis_tready.value = 1
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    await send(dut, VECTORS)
    mask = (1 << OUT) - 1
    moved = [PLACES[(n + 1) % FUNCTIONS] if n < FUNCTIONS else 0 for n in range(len(PLACES))]
    await load(dut, [word ^ mask for word in WORDS], moved)
    others = []
    for code, result in VECTORS:
        number = ((code >> CODE) - 1) % len(PLACES)
        if number >= FUNCTIONS:
            number = FUNCTIONS - 1
        low = code & ((1 << CODE) - 1)
        others.append((number << CODE | low, ~result))
    await send(dut, others)
    await load(dut, WORDS, PLACES)
    await send(dut, VECTORS)
    cocotb.log.info("%s: %d codes of other tables are right", MANIFEST["top"], len(others))
