"""Every code of a kernel, in every lane, one beat a cycle, against the output code that must come back.

Runs in a package's ``sim`` folder: ``vectors.txt`` has the pairs, ``../manifest.json`` the formats.
"""

import json
import re
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

MANIFEST = json.loads(Path("../manifest.json").read_text(encoding="utf-8"))
VECTORS = [
    tuple(map(int, line.split())) for line in Path("vectors.txt").read_text(encoding="ascii").splitlines()
]


def element_bits(fmt):
    """Bits that an element of a format such as s10f6 takes in TDATA: whole bytes."""
    return -(-int(re.fullmatch(r"[su](\d+)f-?\d+", fmt)[1]) // 8) * 8


def tdata(beat, column, bits):
    """TDATA of a beat: the codes of ``column`` (0 in, 1 out), each lane beginning one vector further on."""
    codes = [VECTORS[(beat + lane) % len(VECTORS)][column] for lane in range(MANIFEST["lanes"])]
    return sum((code & ((1 << bits) - 1)) << (bits * lane) for lane, code in enumerate(codes))


@cocotb.test()
async def every_code(dut):
    """The results of all beats, in order, after the manifest's latency and without a gap."""
    count = MANIFEST["vectors"]
    assert len(VECTORS) == count, f"vectors.txt holds {len(VECTORS)} pairs; the manifest counts {count}"
    bits = element_bits(MANIFEST["input"]), element_bits(MANIFEST["output"])
    words = [tdata(beat, 0, bits[0]) for beat in range(len(VECTORS))]
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.aresetn.value = 0
    dut.s_axis_tvalid.value = 0
    dut.s_axis_tkeep.value = (1 << len(dut.s_axis_tkeep)) - 1
    dut.s_axis_tlast.value = 0
    dut.s_axis_tuser.value = 0
    dut.m_axis_tready.value = 1
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    dut.s_axis_tvalid.value = 1
    results = []
    for cycle in range(len(words) + MANIFEST["latency"]):
        dut.s_axis_tvalid.value = cycle < len(words)
        dut.s_axis_tdata.value = words[cycle % len(words)]
        await RisingEdge(dut.aclk)
        assert dut.s_axis_tready.value == 1, f"TREADY falls at beat {cycle} though nobody stalls"
        there = dut.m_axis_tvalid.value == 1
        assert there == (cycle >= MANIFEST["latency"]), f"TVALID is {there} in cycle {cycle}"
        if there:
            results.append(int(dut.m_axis_tdata.value))
    for beat, got in enumerate(results):
        expected = tdata(beat, 1, bits[1])
        code = VECTORS[beat][0]
        assert got == expected, f"input code {code}: TDATA must be {expected:x}, not {got:x}"
    cocotb.log.info("%s: %d codes are right", MANIFEST["top"], len(results))
