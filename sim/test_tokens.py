"""Where a TLAST comes within a token, ``event_tlast_unexpected`` says so, and goes on until reset.

Runs in the ``sim`` folder of a LayerNorm's package; ``../manifest.json`` has the beats of a token.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

BEATS = json.loads(Path("../manifest.json").read_text(encoding="utf-8"))["beats"]
RNG = random.Random(0)


async def restart(dut):
    """Reset; the flag must be low behind it."""
    dut.s_axis_tvalid.value = 0
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    assert dut.event_tlast_unexpected.value == 0, "the flag outlives a reset"


async def send(dut, lasts):
    """A beat for each of these TLASTs, the source pausing at random; returns the flag behind each."""
    found = []
    for last in lasts:
        while RNG.random() < 0.4:
            dut.s_axis_tvalid.value = 0
            dut.s_axis_tlast.value = 1  # which means nothing without TVALID
            await RisingEdge(dut.aclk)
        dut.s_axis_tvalid.value = 1
        dut.s_axis_tlast.value = int(last)
        await RisingEdge(dut.aclk)
        while dut.s_axis_tready.value != 1:
            await RisingEdge(dut.aclk)
        dut.s_axis_tvalid.value = 0
        await RisingEdge(dut.aclk)
        found.append(int(dut.event_tlast_unexpected.value))
    return found


async def pause(dut):
    """A sink that pauses at random."""
    while True:
        dut.m_axis_tready.value = int(RNG.random() < 0.6)
        await RisingEdge(dut.aclk)


@cocotb.test()
async def a_token_that_ends_early(dut):
    """Low while TLAST marks tokens, some of them, or none; high from the first TLAST within one on."""
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    for port in (dut.s_axis_tdata, dut.s_axis_tuser, dut.s_axis_tlast):
        port.value = 0
    cocotb.start_soon(pause(dut))
    for marked in ((True, True, True), (False, True), (False, False)):
        await restart(dut)
        lasts = [mark and beat == BEATS - 1 for mark in marked for beat in range(BEATS)]
        assert not any(await send(dut, lasts)), f"the flag rises though TLAST ends tokens: {marked}"
    for early in sorted({0, BEATS // 2, BEATS - 2} - {-1, BEATS - 1}):
        await restart(dut)
        lasts = [beat in (early, BEATS - 1) for beat in range(BEATS)] * 2
        lasts = [False] * BEATS + lasts
        expected = [int(beat >= BEATS + early) for beat in range(len(lasts))]
        assert await send(dut, lasts) == expected, f"TLAST on beat {early} of {BEATS}"
