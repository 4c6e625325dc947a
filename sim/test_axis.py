"""The AXI4-Stream contract of kernels: stalls on both sides, TLAST, TUSER, TKEEP, reset, throughput.

``plan.json`` says what to send and what must come back: for each kernel the prefix of its ports, its
latency, its lanes and its beats as ``[tdata in, tdata out, tuser, tlast, elements kept]``. All kernels
run at the same time; what is wrong with each goes to ``protocol.json`` (an empty list: nothing), and any
fault fails the test.
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
RESETS = 6


class Kernel:
    """One kernel's ports, the source and the sink on them, and what was found wrong."""

    def __init__(self, dut, plan):
        self.top = plan["top"]
        self.latency = plan["latency"]
        self.lanes = plan["lanes"]
        self.beats = len(plan["beats"])
        self.faults = []
        self.rng = random.Random(f"{PLAN['seed']} {self.top}")
        self.source, self.sink = (
            side(AxiStreamBus.from_prefix(dut, plan["prefix"] + port), dut.aclk, dut.aresetn, False)
            for side, port in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis"))
        )
        for side in (self.source, self.sink):
            side.log.setLevel("ERROR")
        self.sent, self.expected = (self._frames(plan["beats"], column) for column in (0, 1))

    def _frames(self, beats, column):
        """Beats (0: as sent, 1: as they must come back) as frames of (tdata bytes, tuser, tkeep of each)."""
        side = (self.source, self.sink)[column]
        size = side.byte_lanes
        mask = (1 << len(self.source.bus.tuser)) - 1
        frames, data, users, kept = [], b"", [], []
        for beat in beats:
            data += beat[column].to_bytes(size, "little")
            users += [beat[2] & mask] * size
            if hasattr(side.bus, "tkeep"):
                kept += [int(byte < beat[4] * size // self.lanes) for byte in range(size)]
            if beat[3]:
                frames.append((data, users, kept))
                data, users, kept = b"", [], []
        return frames

    def send(self):
        """Queue every planned frame."""
        for data, users, kept in self.sent:
            self.source.send_nowait(AxiStreamFrame(tdata=data, tuser=users, tkeep=kept or None))

    def received(self):
        """The frames that have come back so far."""
        frames = []
        while not self.sink.empty():
            frame = self.sink.recv_nowait(compact=False)
            frames.append((bytes(frame.tdata), list(frame.tuser), list(frame.tkeep)))
        return frames

    def compare(self):
        """Note the first difference between what came back and what must."""
        got = self.received()
        for number, (one, other) in enumerate(zip(got, self.expected, strict=False)):
            for what, a, b in zip(("TDATA", "TUSER", "TKEEP"), one, other, strict=True):
                if a != b:
                    self.faults.append(f"frame {number} differs in length or {what}")
                    return
        if len(got) != len(self.expected):
            self.faults.append(f"{len(got)} frames came back, {len(self.expected)} were sent")

    def stall(self, *sides):
        """Pause sides at random, in bursts."""
        for side in sides:
            side.set_pause_generator(self._bursts())

    def _bursts(self):
        while True:
            yield from [True] * self.rng.choice((0, 1, 1, 2, 5)) + [False] * self.rng.choice((1, 1, 2, 4, 9))


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


async def _stream(dut, kernels, when, saturated=False):
    """Send every planned beat, watch the handshake, compare what comes back, and tell the faults."""
    watches = [cocotb.start_soon(_watch(dut, kernel, saturated)) for kernel in kernels]
    for kernel in kernels:
        kernel.send()
    most = max(k.beats * 6 + k.latency for k in kernels) + 200
    for _ in range(0, most, 20):
        await ClockCycles(dut.aclk, 20)
        if all(k.sink.count() >= len(k.expected) for k in kernels):
            break
    # Anything that comes doubled comes now.
    await ClockCycles(dut.aclk, max(k.latency for k in kernels) + 5)
    known = json.loads(FAULTS.read_text(encoding="utf-8")) if FAULTS.exists() else {}
    for kernel, watch in zip(kernels, watches, strict=True):
        watch.cancel()
        kernel.compare()
        known.setdefault(kernel.top, []).append([f"{when}: {fault}" for fault in kernel.faults])
    FAULTS.write_text(json.dumps(known), encoding="utf-8")
    assert not any(kernel.faults for kernel in kernels), known


async def _watch(dut, kernel, saturated):
    """Note the first breach of the handshake: an offered beat stays as it is until it is taken.

    Where the source is never idle (``saturated``), the latency is measured, and once results come, each
    cycle in which the sink is ready must bring one: stalls of the sink cost their own length and no more.
    """
    source, sink = kernel.source.bus, kernel.sink.bus
    cycle = given = 0
    entered = appeared = waiting = None
    while True:
        await RisingEdge(dut.aclk)
        cycle += 1
        valid, ready = sink.tvalid.value == 1, sink.tready.value == 1
        signals = [sink.tdata, sink.tlast, sink.tuser, *([sink.tkeep] if hasattr(sink, "tkeep") else [])]
        beat = [str(signal.value) for signal in signals] if valid else None
        if waiting is not None and beat != waiting:
            kernel.faults.append(f"beat {given} changed or was withdrawn before it was taken")
            return
        waiting = beat if not ready else None
        if saturated:
            if valid and appeared is None:
                appeared = cycle
                if appeared - entered != kernel.latency:
                    kernel.faults.append(f"latency {appeared - entered}, not {kernel.latency}")
            if appeared is not None and ready and not valid and given < kernel.beats:
                kernel.faults.append(f"a bubble after beat {given}")
                return
            if entered is None and source.tvalid.value == 1 and source.tready.value == 1:
                entered = cycle
        given += valid and ready


@cocotb.test()
async def random_stalls(dut):
    """Nothing is lost, doubled, reordered or changed whatever the stalls on either side."""
    kernels = await _start(dut)
    for kernel in kernels:
        kernel.stall(kernel.source, kernel.sink)
    await _stream(dut, kernels, "random stalls")


@cocotb.test()
async def reset_at_any_time(dut):
    """A reset at any time empties the stage; the stream after it is whole and holds nothing from before."""
    kernels = await _start(dut)
    rng = random.Random(PLAN["seed"])
    for kernel in kernels:
        kernel.stall(kernel.source, kernel.sink)
    for _ in range(RESETS):
        for kernel in kernels:
            kernel.send()
        await ClockCycles(dut.aclk, rng.randrange(1, 60))
        dut.aresetn.value = 0
        for kernel in kernels:
            kernel.source.clear()
        await ClockCycles(dut.aclk, rng.randrange(2, 5))
        for kernel in kernels:
            if kernel.sink.bus.tvalid.value == 1 or kernel.source.bus.tready.value == 1:
                kernel.faults.append("TVALID or TREADY is high during reset")
            kernel.received()
        dut.aresetn.value = 1
        for _ in range(max(k.latency for k in kernels) + 4):
            await RisingEdge(dut.aclk)
            for kernel in kernels:
                if kernel.sink.bus.tvalid.value == 1 and not kernel.faults:
                    kernel.faults.append("a beat from before the reset came out after it")
    await _stream(dut, kernels, "after reset")


@cocotb.test()
async def full_throughput(dut):
    """The manifest's latency, and a beat in every cycle in which the sink is ready, however it stalls."""
    kernels = await _start(dut)
    for kernel in kernels:
        kernel.stall(kernel.sink)
    await _stream(dut, kernels, "full throughput", saturated=True)
