"""Whole images through the engine's AXI interfaces: stalls, resets, faults of every stream, counters.

``plan.json`` says what to send and what must come back: ``weights``, an image's beats of weights in
hexadecimal; ``heads``, the beats at which tiles begin; ``images``, their bytes in hexadecimal; ``logits``,
the codes of each; ``alone`` and ``behind``, the cycles, busy and stalled ones of an image by itself and of
one right behind another; ``array``, its tokens, columns and depth; ``offsets``, those of registers.
"""

import itertools
import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))
WEIGHTS = bytes.fromhex(PLAN["weights"])
IMAGES = [bytes.fromhex(image) for image in PLAN["images"]]
OFFSETS = PLAN["offsets"]
START, CLEAR = 1, 2
IDLE, DONE, ERROR = 1, 2, 4
WEIGHTS_EARLY, WEIGHTS_LATE, IMAGE_EARLY, IMAGE_LATE, WEIGHTS_FOREIGN = 1, 2, 4, 8, 16
#: An engine that is stuck would let a test wait for ever.
WITHIN = {"timeout_time": 2, "timeout_unit": "ms"}
#: More cycles than an image takes, its streams stalled and all.
LONG = 20 * PLAN["alone"][0]


class Engine:
    """The engine with masters on its interfaces, and the first breach of the handshake of its logits."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = random.Random(PLAN["seed"])
        self.fault = ""
        self.beats = 0
        end = dut.aclk, dut.aresetn, False
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *end)
        self.weights = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_weights"), *end)
        self.image = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_image"), *end)
        self.logits = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_logits"), *end)
        self.streams = self.weights, self.image, self.logits
        for side in (self.master.write_if, self.master.read_if, *self.streams):
            side.log.setLevel("ERROR")
        self.lanes = self.weights.byte_lanes

    async def read(self, name):
        """The value of a register."""
        return int.from_bytes((await self.master.read(OFFSETS[name], 4)).data, "little")

    async def control(self, bits):
        """Write CONTROL."""
        await self.master.write(OFFSETS["CONTROL"], bits.to_bytes(4, "little"))

    async def counters(self):
        """Cycles of the last image, busy and stalled ones."""
        return [await self.read(name) for name in ("CYCLES", "BUSY", "STALL")]

    def send(self, *numbers):
        """Queue these images and the weights of each."""
        for number in numbers:
            self.image.send_nowait(AxiStreamFrame(IMAGES[number]))
            self.weights.send_nowait(AxiStreamFrame(WEIGHTS))

    async def received(self):
        """The logits of the next image."""
        frame = await with_timeout(self.logits.recv(), 10 * LONG, "ns")
        data = bytes(frame.tdata)
        return [int.from_bytes(data[at : at + 4], "little", signed=True) for at in range(0, len(data), 4)]

    async def until(self, bits):
        """Wait until one of these bits of STATUS is set; all of STATUS."""
        for _ in range(LONG):
            if (status := await self.read("STATUS")) & bits:
                return status
        raise AssertionError(f"none of the bits {bits} of STATUS was set")

    async def clean(self, *numbers):
        """Images one by one, each with the counters of one alone."""
        for number in numbers:
            images = await self.read("IMAGES")
            self.send(number)
            # The first tiles of weights are there before the image begins.
            await ClockCycles(self.dut.aclk, len(WEIGHTS) // self.lanes + 8)
            assert await self.read("STATUS") & (IDLE | ERROR) == IDLE
            await self.control(START)
            assert await self.received() == PLAN["logits"][number]
            assert await self.until(DONE) == DONE | IDLE
            assert await self.counters() == PLAN["alone"]
            assert await self.read("IMAGES") == images + 1
        await self.quiet()

    async def quiet(self):
        """Nothing more comes, and the logits' handshake was kept."""
        await ClockCycles(self.dut.aclk, 30)
        assert self.logits.empty(), "logits that nobody asked for"
        assert not self.fault, self.fault

    def stall(self, *streams):
        """Pause streams at random, in bursts."""
        for stream in streams or self.streams:
            stream.set_pause_generator(self._bursts())

    def flow(self):
        """Pause none."""
        for stream in self.streams:
            stream.clear_pause_generator()
            stream.pause = False

    def _bursts(self):
        while True:
            yield from [True] * self.rng.choice((0, 1, 1, 2, 5, 20)) + [False] * self.rng.choice((1, 2, 4, 9))

    async def reset(self, cycles):
        """``aresetn`` for some cycles, of all that is connected."""
        self.dut.aresetn.value = 0
        for stream in self.streams:
            stream.clear()
        await ClockCycles(self.dut.aclk, cycles)
        for port in ("s_axis_weights_tready", "s_axis_image_tready", "m_axis_logits_tvalid"):
            assert getattr(self.dut, port).value == 0, f"{port} in reset"
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    async def clear(self, bits=CLEAR):
        """CLEAR while what is connected to the streams is held in reset."""
        for stream in self.streams:
            stream.assert_reset(True)
            stream.clear()
        await ClockCycles(self.dut.aclk, 2)
        await self.control(bits)
        await ClockCycles(self.dut.aclk, 2)
        for stream in self.streams:
            stream.assert_reset(False)
        self.flow()

    async def watch(self):
        """Note where logits change or are withdrawn before they are taken, without reset or CLEAR."""
        waiting = None
        while True:
            await RisingEdge(self.dut.aclk)
            valid, ready = self.dut.m_axis_logits_tvalid.value == 1, self.dut.m_axis_logits_tready.value == 1
            beat = str(self.dut.m_axis_logits_tdata.value), str(self.dut.m_axis_logits_tlast.value)
            ends = self.dut.aresetn.value == 0 or self.dut.clear.value == 1
            if waiting is not None and not ends and (not valid or beat != waiting):
                self.fault = self.fault or "a logit changed or was withdrawn before it was taken"
            waiting = beat if valid and not ready and not ends else None
            self.beats += valid and ready


async def _start(dut):
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.aresetn.value = 0
    engine = Engine(dut)
    await ClockCycles(dut.aclk, 4)
    await engine.reset(2)
    cocotb.start_soon(engine.watch())
    return engine


@cocotb.test(**WITHIN)
async def counters_are_the_predicted_ones(dut):
    """Images one by one; each of the registers that say something of the engine."""
    engine = await _start(dut)
    assert await engine.read("STATUS") == IDLE
    assert [await engine.read(name) for name in ("TOKENS", "COLUMNS", "DEPTH")] == PLAN["array"]
    await engine.clean(*range(len(IMAGES)))


@cocotb.test(**WITHIN)
async def start_before_its_image(dut):
    """START waits for the image; the time until it comes is not the image's."""
    engine = await _start(dut)
    await engine.control(START)
    engine.weights.send_nowait(AxiStreamFrame(WEIGHTS))
    await ClockCycles(dut.aclk, 300)
    assert await engine.read("STATUS") == 0
    engine.image.send_nowait(AxiStreamFrame(IMAGES[0]))
    assert await engine.received() == PLAN["logits"][0]
    assert await engine.until(DONE) == DONE | IDLE
    assert await engine.counters() == PLAN["alone"]
    await engine.quiet()


@cocotb.test(**WITHIN)
async def one_start_is_remembered(dut):
    """Two images right behind one another; a third START while one waits does nothing."""
    engine = await _start(dut)
    engine.send(0, 1, 2)
    await ClockCycles(dut.aclk, len(WEIGHTS) // engine.lanes)
    await engine.control(START)
    await ClockCycles(dut.aclk, 20)
    for _ in range(2):
        await engine.control(START)
    assert await engine.received() == PLAN["logits"][0]
    assert await engine.read("STATUS") == 0, "DONE between two images"
    assert await engine.received() == PLAN["logits"][1]
    assert await engine.until(DONE) == DONE | IDLE
    assert await engine.counters() == PLAN["behind"]
    await ClockCycles(dut.aclk, LONG // 10)
    await engine.quiet()
    assert await engine.read("IMAGES") == 2
    # The third image is still there.
    await engine.control(START)
    assert await engine.read("STATUS") & DONE == 0
    assert await engine.received() == PLAN["logits"][2]
    await engine.quiet()


@cocotb.test(**WITHIN)
async def random_stalls(dut):
    """Whatever each stream does, the logits are the same."""
    engine = await _start(dut)
    for stalled in [(stream,) for stream in engine.streams] + [engine.streams] * 3:
        engine.flow()
        engine.stall(*stalled)
        numbers = [engine.rng.randrange(len(IMAGES)) for _ in range(2)]
        engine.send(*numbers)
        for number in numbers:
            await engine.control(START)
            assert await engine.received() == PLAN["logits"][number]
            await engine.until(DONE)
    await engine.quiet()


@cocotb.test(**WITHIN)
async def few_weights(dut):
    """A beat of weights every fifth cycle: the image waits for them, and STALL says how long."""
    engine = await _start(dut)
    engine.weights.set_pause_generator(itertools.cycle([True] * 4 + [False]))
    engine.send(0)
    await engine.control(START)
    assert await engine.received() == PLAN["logits"][0]
    assert await engine.until(DONE) == DONE | IDLE
    cycles, busy, stall = await engine.counters()
    assert busy == PLAN["alone"][1]
    assert stall > PLAN["alone"][2] + len(WEIGHTS) // engine.lanes
    # It may find other codes settled by then, and so not each cycle of waiting makes the image longer.
    assert PLAN["alone"][0] < cycles <= PLAN["alone"][0] + stall
    await engine.quiet()


@cocotb.test(**WITHIN)
async def logits_that_nobody_takes(dut):
    """They wait, and so does the next image; then both leave whole."""
    engine = await _start(dut)
    engine.logits.pause = True
    engine.send(0, 1)
    await engine.control(START)
    assert await engine.until(DONE) == DONE, "IDLE while logits wait"
    await engine.control(START)
    await ClockCycles(dut.aclk, 2 * PLAN["alone"][0])
    assert await engine.read("STATUS") == 0
    assert await engine.read("IMAGES") == 1
    assert engine.beats == 0
    engine.logits.pause = False
    assert await engine.received() == PLAN["logits"][0]
    assert await engine.received() == PLAN["logits"][1]
    assert await engine.until(DONE) == DONE | IDLE
    await engine.quiet()


async def _amid(engine, low, high):
    """Send two images with stalls, start, and leave the engine after some cycles."""
    engine.flow()
    engine.stall(*engine.rng.sample(engine.streams, engine.rng.randrange(4)) or [engine.logits])
    engine.send(*(engine.rng.randrange(len(IMAGES)) for _ in range(2)))
    starts = [cocotb.start_soon(engine.control(START)) for _ in range(2)]
    await ClockCycles(engine.dut.aclk, engine.rng.randrange(low, high))
    return starts


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def reset_at_any_time(dut):
    """Also amid an image or its logits: all is as before the first one."""
    engine = await _start(dut)
    most = 3 * PLAN["alone"][0]
    for turn in range(16):
        starts = await _amid(engine, turn * most // 16, (turn + 1) * most // 16)
        await engine.reset(engine.rng.randrange(3, 6))
        for start in starts:
            start.cancel()
        engine.flow()
        assert await engine.read("STATUS") == IDLE
        assert [*await engine.counters(), await engine.read("IMAGES")] == [0] * 4
        await engine.clean(engine.rng.randrange(len(IMAGES)))


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def clear_at_any_time(dut):
    """The same by CLEAR, which keeps the number of images."""
    engine = await _start(dut)
    most = 3 * PLAN["alone"][0]
    for turn in range(16):
        starts = await _amid(engine, turn * most // 16, (turn + 1) * most // 16)
        for start in starts:
            await start
        await engine.clear()
        images = await engine.read("IMAGES")
        assert await engine.read("STATUS") == IDLE
        assert await engine.counters() == [0] * 3
        await engine.clean(engine.rng.randrange(len(IMAGES)))
        assert await engine.read("IMAGES") == images + 1


def _packets():
    """By what is wrong with them: packets of images and of weights, and the error word's bits."""
    heads = [at * len(WEIGHTS) // PLAN["beats"] for at in PLAN["heads"]]
    lanes, pixels = len(WEIGHTS) // PLAN["beats"], PLAN["pixels"]
    good = [IMAGES[0]], [WEIGHTS]
    for cut in (lanes, heads[1], heads[-1], heads[-1] + lanes, len(WEIGHTS) - lanes):
        yield f"weights end after {cut} bytes", good[0], [WEIGHTS[:cut]], WEIGHTS_EARLY
    yield "no end of weights", good[0], [WEIGHTS + WEIGHTS], WEIGHTS_LATE
    for tile in (0, 1, len(heads) - 1):
        for bit in (0, 31):
            wrong = bytearray(WEIGHTS)
            wrong[heads[tile] + bit // 8] ^= 1 << bit % 8
            yield f"bit {bit} of tile {tile}'s number", good[0], [bytes(wrong)], WEIGHTS_FOREIGN
    missing = WEIGHTS[: heads[1]] + WEIGHTS[heads[2] :]
    yield "a tile is missing", good[0], [missing], WEIGHTS_FOREIGN
    for cut in (pixels, len(IMAGES[0]) // 2, len(IMAGES[0]) - pixels):
        yield f"an image ends after {cut} bytes", [IMAGES[0][:cut]], good[1], IMAGE_EARLY
    yield "no end of an image", [IMAGES[0] + IMAGES[1]], good[1], IMAGE_LATE


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def streams_that_are_wrong(dut):
    """Each sets its bit of ERROR and gives no logits; after CLEAR all is well again."""
    engine = await _start(dut)
    for name, images, weights, error in _packets():
        engine.stall(*engine.rng.sample(engine.streams, engine.rng.randrange(3)) or [engine.logits])
        seen = await engine.read("IMAGES")
        await engine.control(START)
        for stream, packets in ((engine.image, images), (engine.weights, weights)):
            for packet in packets:
                stream.send_nowait(AxiStreamFrame(packet))
        assert await engine.until(DONE | ERROR) == ERROR, name
        await ClockCycles(dut.aclk, PLAN["alone"][0])
        # A START before CLEAR does nothing, then or later.
        await engine.control(START)
        await ClockCycles(dut.aclk, PLAN["alone"][0])
        assert await engine.read("ERROR") == error, name
        assert await engine.read("STATUS") == ERROR, name
        assert await engine.read("IMAGES") == seen, name
        await engine.quiet()
        await engine.clear()
        assert await engine.read("STATUS") == IDLE, name
        assert await engine.read("ERROR") == 0, name
        await engine.clean(1)


@cocotb.test(**WITHIN)
async def the_next_image_is_wrong(dut):
    """The engine stops amid the image before it; one whose logits are ready is not lost."""
    engine = await _start(dut)
    engine.send(0)
    await engine.control(START)
    await ClockCycles(dut.aclk, PLAN["alone"][0] // 2)
    engine.image.send_nowait(AxiStreamFrame(IMAGES[1][: len(IMAGES[1]) // 2]))
    assert await engine.until(DONE | ERROR) == ERROR
    await ClockCycles(dut.aclk, PLAN["alone"][0])
    assert await engine.read("ERROR") == IMAGE_EARLY
    assert await engine.read("IMAGES") == 0
    await engine.quiet()
    await engine.clear()

    engine.logits.pause = True
    engine.send(0)
    await engine.control(START)
    await engine.until(DONE)
    engine.image.send_nowait(AxiStreamFrame(IMAGES[1][: len(IMAGES[1]) // 2]))
    assert await engine.until(ERROR) == DONE | ERROR
    await engine.control(START)
    assert await engine.read("STATUS") == DONE | ERROR, "START is not refused"
    engine.logits.pause = False
    assert await engine.received() == PLAN["logits"][0]
    await engine.quiet()
    await engine.clear()
    await engine.clean(2)


@cocotb.test(**WITHIN)
async def clear_and_start_at_once(dut):
    """CLEAR comes first: what was asked for is forgotten, and this START is not."""
    engine = await _start(dut)
    engine.image.send_nowait(AxiStreamFrame(IMAGES[0][: len(IMAGES[0]) // 2]))
    assert await engine.until(ERROR) == ERROR
    await engine.clear(CLEAR | START)
    assert await engine.read("STATUS") == 0
    engine.send(1)
    assert await engine.received() == PLAN["logits"][1]
    assert await engine.until(DONE) == DONE | IDLE
    await engine.quiet()
