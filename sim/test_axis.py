"""The AXI4-Stream contract of kernels: stalls on both sides, TLAST and TUSER, reset, full throughput.

``plan.json`` says what to send and what must come back: for each kernel the prefix of its ports, its
latency and its beats as ``[tdata in, tdata out, tuser, tlast]``. All kernels run at the same time; what
is wrong with each goes to ``protocol.json`` (an empty list: nothing), and any fault fails the test.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))
FAULTS = Path("protocol.json")


class Kernel:
    """One kernel's ports, the source and the sink on them, and what was found wrong."""

    def __init__(self, dut, plan):
        self.plan = plan
        self.faults = []
        prefix = plan["prefix"]
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, f"{prefix}s_axis"), dut.aclk, dut.aresetn, reset_active_level=False
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, f"{prefix}m_axis"), dut.aclk, dut.aresetn, reset_active_level=False
        )
        self.user_mask = (1 << len(self.source.bus.tuser)) - 1

    def frames(self, column):
        """The planned beats (0: as sent, 1: as they must come back), as (tdata bytes, tuser) frames."""
        lanes = (self.source if column == 0 else self.sink).byte_lanes
        frames, data, users = [], b"", []
        for beat in self.plan["beats"]:
            data += beat[column].to_bytes(lanes, "little")
            users += [beat[2] & self.user_mask] * lanes
            if beat[3]:
                frames.append((data, users))
                data, users = b"", []
        return frames

    def send(self):
        """Queue every planned frame."""
        for data, users in self.frames(0):
            self.source.send_nowait(AxiStreamFrame(tdata=data, tuser=users))

    def received(self):
        """The frames that have come back so far."""
        frames = []
        while not self.sink.empty():
            frame = self.sink.recv_nowait(compact=False)
            frames.append((bytes(frame.tdata), list(frame.tuser)))
        return frames

    def compare(self, when):
        """Note the first difference between what came back and what must."""
        got, expected = self.received(), self.frames(1)
        for number, (one, other) in enumerate(zip(got, expected, strict=False)):
            for what, a, b in zip(("TDATA", "TUSER"), one, other, strict=True):
                if a != b:
                    self.faults.append(f"{when}: frame {number} differs in length or {what}")
                    return
        if len(got) != len(expected):
            self.faults.append(f"{when}: {len(got)} frames came back, {len(expected)} were sent")

    def stall(self, rng):
        """Pause both sides at random, in bursts."""
        self.source.set_pause_generator(_bursts(rng))
        self.sink.set_pause_generator(_bursts(rng))

    def flow(self):
        """No pauses on either side."""
        for side in (self.source, self.sink):
            side.clear_pause_generator()
            side.pause = False


def _bursts(rng):
    while True:
        yield from [True] * rng.choice((0, 1, 1, 2, 5)) + [False] * rng.choice((1, 1, 2, 4, 9))


async def _start(dut):
    """Clock and reset; sources and sinks on every kernel."""
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    if hasattr(dut, "sweep"):
        dut.sweep.value = 0
    # Reset first: until then a four-state simulator has x on every handshake.
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 3)
    kernels = [Kernel(dut, plan) for plan in PLAN["kernels"]]
    await ClockCycles(dut.aclk, 1)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    return kernels


async def _drain(dut, kernels):
    """Wait until every beat must long have come back."""
    most = max(len(k.plan["beats"]) * 6 + k.plan["latency"] for k in kernels) + 200
    for _ in range(0, most, 20):
        await ClockCycles(dut.aclk, 20)
        if all(k.sink.count() >= len(k.frames(1)) for k in kernels):
            break
    await ClockCycles(dut.aclk, max(k.plan["latency"] for k in kernels) + 5)


def _report(kernels):
    """Add this test's faults to the file; fail if there are any."""
    known = json.loads(FAULTS.read_text(encoding="utf-8")) if FAULTS.exists() else {}
    for kernel in kernels:
        known.setdefault(kernel.plan["top"], []).append(kernel.faults)
    FAULTS.write_text(json.dumps(known), encoding="utf-8")
    assert not any(kernel.faults for kernel in kernels)


@cocotb.test()
async def random_stalls(dut):
    """Nothing is lost, doubled, reordered or changed whatever the stalls on either side."""
    kernels = await _start(dut)
    for number, kernel in enumerate(kernels):
        kernel.stall(random.Random(PLAN["seed"] * 1000 + number))
        kernel.send()
    await _drain(dut, kernels)
    for kernel in kernels:
        kernel.compare("random stalls")
    _report(kernels)


@cocotb.test()
async def reset_in_mid_stream(dut):
    """A reset empties the stage; the stream after it is whole and holds nothing of the one before."""
    kernels = await _start(dut)
    for number, kernel in enumerate(kernels):
        kernel.stall(random.Random(PLAN["seed"] * 1000 + 500 + number))
        kernel.send()
    await ClockCycles(dut.aclk, 40 + random.Random(PLAN["seed"]).randrange(40))
    dut.aresetn.value = 0
    for kernel in kernels:
        kernel.source.clear()
    await ClockCycles(dut.aclk, 3)
    for kernel in kernels:
        if kernel.sink.bus.tvalid.value or kernel.source.bus.tready.value:
            kernel.faults.append("reset: TVALID or TREADY is high during reset")
        kernel.flow()
        kernel.received()
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 1)
    for _ in range(max(k.plan["latency"] for k in kernels) + 3):
        await RisingEdge(dut.aclk)
        for kernel in kernels:
            if kernel.sink.bus.tvalid.value and not kernel.faults:
                kernel.faults.append("reset: a beat from before the reset came out after it")
    for kernel in kernels:
        kernel.send()
    await _drain(dut, kernels)
    for kernel in kernels:
        kernel.compare("after reset")
    _report(kernels)


@cocotb.test()
async def full_throughput(dut):
    """n beats take n cycles after the latency, and a stall of the sink costs exactly its own length."""
    kernels = await _start(dut)
    for kernel in kernels:
        kernel.flow()
    await ClockCycles(dut.aclk, 3)
    watches = [cocotb.start_soon(_watch(dut, kernel)) for kernel in kernels]
    for kernel in kernels:
        kernel.send()
    await ClockCycles(dut.aclk, max(k.plan["latency"] for k in kernels) + 30)
    for kernel in kernels:
        kernel.sink.pause = True
    await ClockCycles(dut.aclk, 11)
    for kernel in kernels:
        kernel.sink.pause = False
    await _drain(dut, kernels)
    for kernel, watch in zip(kernels, watches, strict=True):
        watch.cancel()
        kernel.compare("full throughput")
    _report(kernels)


async def _watch(dut, kernel):
    """See each cycle whether a beat goes in or out; note a wrong latency and every bubble once."""
    source, sink = kernel.source.bus, kernel.sink.bus
    latency, beats = kernel.plan["latency"], len(kernel.plan["beats"])
    cycle = taken = given = entered = 0
    while given < beats:
        await RisingEdge(dut.aclk)
        cycle += 1
        valid, ready = bool(sink.tvalid.value), bool(sink.tready.value)
        if valid and given == 0 and ready and cycle - entered != latency:
            kernel.faults.append(f"throughput: latency {cycle - entered}, not {latency}")
        if given and ready and not valid:
            kernel.faults.append(f"throughput: a bubble after beat {given}")
            return
        given += valid and ready
        if source.tvalid.value and source.tready.value:
            taken += 1
            if taken == 1:
                entered = cycle
