"""The AXI4-Lite contract of the engine's registers: any order, stalls, reset, wrong addresses.

``plan.json`` says what is there: by offset what is to be read, where a number stands for itself and a
text for the port of the core that is shown; the pulses by port, with their offset and bit; ``end``, the
first offset that the address port cannot hold.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from cocotbext.axi.axil_channels import AxiLiteAWTransaction, AxiLiteWTransaction

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))
REGISTERS = {int(offset): value for offset, value in PLAN["registers"].items()}
PULSES = {port: tuple(place) for port, place in PLAN["pulses"].items()}
WRONG = [offset for offset in range(0, PLAN["end"], 4) if offset not in REGISTERS]
#: A slave that loses an answer would have its master wait for ever.
WITHIN = {"timeout_time": 200, "timeout_unit": "us"}
CHANNELS = {
    "aw": ("awaddr",),
    "w": ("wdata", "wstrb"),
    "b": ("bresp",),
    "ar": ("araddr",),
    "r": ("rdata", "rresp"),
}


class Slave:
    """The slave with a master on it, the values of the core, and what was seen at the ports."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = random.Random(PLAN["seed"])
        self.held = {}
        self.pulses = dict.fromkeys(PULSES, 0)
        self.faults = []
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, False)
        self.sides = {
            "aw": self.master.write_if.aw_channel,
            "w": self.master.write_if.w_channel,
            "b": self.master.write_if.b_channel,
            "ar": self.master.read_if.ar_channel,
            "r": self.master.read_if.r_channel,
        }
        for side in (self.master.write_if, self.master.read_if, *self.sides.values()):
            side.log.setLevel("ERROR")

    def hold(self):
        """New values at the ports of the core."""
        for value in REGISTERS.values():
            for port in value if isinstance(value, list) else [value]:
                if isinstance(port, str):
                    signal = getattr(self.dut, port)
                    # Small ones too: an error is often one bit, or none.
                    bits = self.rng.choice((0, len(signal), len(signal)))
                    self.held[port] = self.rng.getrandbits(bits) if bits else 0
                    signal.value = self.held[port]

    def expected(self, offset):
        """What a register reads; a list holds its bits, the lowest first."""
        value = REGISTERS[offset]
        if isinstance(value, list):
            return sum((self.held[port] != 0) << bit for bit, port in enumerate(value))
        return self.held[value] if isinstance(value, str) else value

    def stall(self, names=CHANNELS):
        """Pause channels at random, in bursts."""
        for name in names:
            self.sides[name].set_pause_generator(self._bursts())

    def _bursts(self):
        while True:
            yield from [True] * self.rng.choice((0, 1, 1, 2, 7)) + [False] * self.rng.choice((1, 1, 2, 5))

    async def read(self, offset):
        """The answer and the value of a read."""
        done = await self.master.read(offset, 4)
        return done.resp, int.from_bytes(done.data, "little")

    async def write(self, offset, value):
        """The answer to a write of a word."""
        return (await self.master.write(offset, value.to_bytes(4, "little"))).resp

    async def write_bytes(self, offset, value, strobes):
        """The same, but past the master, who would clear the bytes whose strobe is low."""
        await self.sides["aw"].send(AxiLiteAWTransaction(awaddr=offset, awprot=0))
        await self.sides["w"].send(AxiLiteWTransaction(wdata=value, wstrb=strobes))
        return AxiResp(int((await self.sides["b"].recv()).bresp))

    async def watch(self):
        """Count the pulses, and note the first breach of the handshake."""
        waiting, reset = {}, False
        while True:
            await RisingEdge(self.dut.aclk)
            # In its first cycle a synchronous reset has not acted yet.
            before, reset = reset, self.dut.aresetn.value == 0
            for port in PULSES:
                self.pulses[port] += int(getattr(self.dut, port).value)
            for name, payload in CHANNELS.items():
                valid, ready = (
                    getattr(self.dut, f"s_axi_{name}{what}").value == 1 for what in ("valid", "ready")
                )
                beat = [int(getattr(self.dut, f"s_axi_{signal}").value) for signal in payload]
                if reset:
                    if before and (ready if name in ("aw", "w", "ar") else valid):
                        self.faults.append(f"{name}: ready or valid during reset")
                    waiting = {}
                    continue
                if name in waiting and (not valid or beat != waiting[name]):
                    self.faults.append(f"{name}: changed or was withdrawn before it was taken")
                waiting.pop(name, None)
                if valid and not ready:
                    waiting[name] = beat

    async def check(self, **pulses):
        """Compare what was seen with what was to be; ``pulses`` says how often each was written."""
        await ClockCycles(self.dut.aclk, 5)
        assert not self.faults, self.faults[0]
        assert self.pulses == dict.fromkeys(PULSES, 0) | pulses


async def _start(dut):
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.aresetn.value = 0
    slave = Slave(dut)
    slave.hold()
    # The first values of registers mean nothing: a few cycles of reset come before the watch.
    await ClockCycles(dut.aclk, 3)
    cocotb.start_soon(slave.watch())
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    return slave


@cocotb.test(**WITHIN)
async def every_register_is_read(dut):
    """Each register reads what it is to, whatever the order and stalls; the core's values change."""
    slave = await _start(dut)
    for stalled in (False, True):
        if stalled:
            slave.stall()
        for _ in range(12):
            slave.hold()
            for offset in slave.rng.sample(sorted(REGISTERS), len(REGISTERS)):
                assert await slave.read(offset) == (AxiResp.OKAY, slave.expected(offset)), hex(offset)
    await slave.check()


@cocotb.test(**WITHIN)
async def every_register_is_written(dut):
    """A one in CONTROL is one pulse, a zero none; registers that are only read stay as they are."""
    slave = await _start(dut)
    wanted = dict.fromkeys(PULSES, 0)
    for stalled in (False, True):
        if stalled:
            slave.stall()
        for _ in range(12):
            for offset in slave.rng.sample(sorted(REGISTERS), len(REGISTERS)):
                value = slave.rng.getrandbits(32)
                assert await slave.write(offset, value) == AxiResp.OKAY, hex(offset)
                for port, (place, bit) in PULSES.items():
                    wanted[port] += offset == place and value >> bit & 1
        for offset in REGISTERS:
            assert await slave.read(offset) == (AxiResp.OKAY, slave.expected(offset)), hex(offset)
    assert all(wanted.values())
    await slave.check(**wanted)


@cocotb.test(**WITHIN)
async def strobes(dut):
    """A byte whose strobe is low is not written."""
    slave = await _start(dut)
    slave.stall()
    for port, (offset, bit) in PULSES.items():
        for mask in range(16):
            before = slave.pulses[port]
            assert await slave.write_bytes(offset, 1 << bit, mask) == AxiResp.OKAY
            await ClockCycles(dut.aclk, 3)
            assert slave.pulses[port] - before == mask >> bit // 8 & 1, f"{port}, strobes {mask:04b}"
    await slave.check(**dict.fromkeys(PULSES, 8))


@cocotb.test(**WITHIN)
async def wrong_addresses(dut):
    """Where no register is, reads and writes answer SLVERR, read zero and do nothing."""
    slave = await _start(dut)
    slave.stall()
    assert WRONG
    for _ in range(3):
        for offset in WRONG:
            assert await slave.read(offset) == (AxiResp.SLVERR, 0), hex(offset)
            assert await slave.write(offset, 0xFFFFFFFF) == AxiResp.SLVERR, hex(offset)
            # The one after a wrong one is right again.
            some = slave.rng.choice(sorted(REGISTERS))
            assert await slave.read(some) == (AxiResp.OKAY, slave.expected(some)), hex(some)
    await slave.check()


@cocotb.test(**WITHIN)
async def either_may_come_first(dut):
    """Data or address may come first: nothing happens until both are there, then once."""
    slave = await _start(dut)
    writes = 0
    for late, early in (("aw", "w"), ("w", "aw")):
        for cycles in (1, 2, 3, 10):
            for port, (offset, bit) in PULSES.items():
                slave.sides[late].pause = True
                await ClockCycles(dut.aclk, 2)
                write = cocotb.start_soon(slave.write(offset, 1 << bit))
                await ClockCycles(dut.aclk, cycles + 4)
                assert getattr(dut, f"s_axi_{late}valid").value == 0
                # Taken already: the slave does not hold the one back until the other is there.
                assert getattr(dut, f"s_axi_{early}valid").value == 0
                assert dut.s_axi_bvalid.value == 0
                assert slave.pulses[port] == writes
                slave.sides[late].pause = False
                assert await write == AxiResp.OKAY
            writes += 1
    await slave.check(**dict.fromkeys(PULSES, writes))


@cocotb.test(**WITHIN)
async def answers_wait(dut):
    """An answer that is not taken stays, and what is behind it waits; none is lost or doubled."""
    slave = await _start(dut)
    (port, (offset, bit)), *_ = PULSES.items()
    slave.sides["b"].pause = slave.sides["r"].pause = True
    await ClockCycles(dut.aclk, 2)
    writes = [cocotb.start_soon(slave.write(offset, 1 << bit)) for _ in range(3)]
    reads = {place: cocotb.start_soon(slave.read(place)) for place in REGISTERS}
    await ClockCycles(dut.aclk, 30)
    assert dut.s_axi_bvalid.value == 1
    assert dut.s_axi_rvalid.value == 1
    assert slave.pulses[port] == 1
    slave.sides["b"].pause = slave.sides["r"].pause = False
    for write in writes:
        assert await write == AxiResp.OKAY
    for place, read in reads.items():
        assert await read == (AxiResp.OKAY, slave.expected(place)), hex(place)
    await slave.check(**{port: 3})


@cocotb.test(**WITHIN)
async def reads_beside_writes(dut):
    """Reads and writes at the same time, with stalls, do not disturb one another."""
    slave = await _start(dut)
    slave.stall()
    (port, (offset, bit)), *_ = PULSES.items()
    writes = [cocotb.start_soon(slave.write(offset, 1 << bit)) for _ in range(40)]
    for _ in range(6):
        for place in REGISTERS:
            assert await slave.read(place) == (AxiResp.OKAY, slave.expected(place)), hex(place)
    for write in writes:
        assert await write == AxiResp.OKAY
    await slave.check(**{port: 40})


@cocotb.test(**WITHIN)
async def reset_at_any_time(dut):
    """A reset forgets what is under way; what comes after it is answered as ever."""
    slave = await _start(dut)
    (port, (offset, bit)), *_ = PULSES.items()
    for late, cycles in ((late, cycles) for late in (None, "aw", "w") for cycles in range(9)):
        if late:
            # Half of a write waits in the slave.
            slave.sides[late].pause = True
        slave.master.init_write(offset, (1 << bit).to_bytes(4, "little"))
        slave.master.init_read(0, 4)
        await ClockCycles(dut.aclk, cycles)
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 3)
        for side in slave.sides.values():
            side.pause = False
        await ClockCycles(dut.aclk, 1)
        seen = slave.pulses[port]
        dut.aresetn.value = 1
        await ClockCycles(dut.aclk, 6)
        assert slave.pulses[port] == seen, "a write from before the reset was done after it"
        # Half a write that is not forgotten makes a whole one with half of the next.
        if late == "w":
            assert await slave.write(WRONG[0], 0) == AxiResp.SLVERR, "the address was not forgotten"
        assert await slave.write(offset, 0) == AxiResp.OKAY
        assert slave.pulses[port] == seen, "the data were not forgotten"
        assert await slave.read(0) == (AxiResp.OKAY, slave.expected(0))
    assert not slave.faults, slave.faults[0]
