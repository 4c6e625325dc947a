"""The engine's softmax by itself: codes, their places, and reciprocals, tile after tile.

``plan.json`` says what each tile brings, in order: ``scores`` of each key, a code for each token; ``codes``
that become of them, and ``reciprocals``. ``depth``, ``tokens`` and ``tiles`` are those of the hardware.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))
TOKENS, DEPTH, TILES = PLAN["tokens"], PLAN["depth"], PLAN["tiles"]
SCORE, CODE, RECIPROCAL = 12, PLAN["bits"], 17
#: Keys of a tile of them lie in so many words.
WORDS = -(-TOKENS // DEPTH)
WITHIN = {"timeout_time": 1, "timeout_unit": "ms"}


def packed(values, bits):
    """Codes side by side, the first one lowest."""
    return sum((value & ((1 << bits) - 1)) << (i * bits) for i, value in enumerate(values))


def unpacked(value, bits):
    """The codes of all tokens."""
    return [int(value) >> (i * bits) & ((1 << bits) - 1) for i in range(TOKENS)]


class Softmax:
    """The unit, and the codes that it has written, by word and lane."""

    def __init__(self, dut):
        self.dut = dut
        self.rng = random.Random(PLAN["seed"])
        self.written = {}
        self.given = 0

    async def watch(self):
        while True:
            await RisingEdge(self.dut.aclk)
            if self.dut.m_write.value == 1:
                place = int(self.dut.m_address.value), int(self.dut.m_lane.value)
                self.written.setdefault(place, []).append(unpacked(self.dut.m_codes.value, CODE))

    async def give(self, number, tile, gaps):
        """A tile's scores, key by key, once there is room for them."""
        dut = self.dut
        while self.given - int(dut.m_read.value) >= 2:
            await ClockCycles(dut.aclk, 1)
        for key, scores in enumerate(tile["scores"]):
            while gaps and self.rng.randrange(3) == 0:
                await ClockCycles(dut.aclk, 1)
            dut.s_write.value = 1
            dut.s_key.value = key
            dut.s_first_key.value = key == 0
            dut.s_last_key.value = key + 1 == len(tile["scores"])
            dut.s_parity.value = number % 2
            dut.s_scores.value = packed(scores, SCORE)
            dut.s_address.value = self.base(number)
            dut.s_keys.value = len(tile["scores"])
            dut.s_slot.value, dut.s_tile.value = self.place(number)
            await ClockCycles(dut.aclk, 1)
            dut.s_write.value = 0
        self.given += 1

    def base(self, number):
        """A tile's first word: none is that of another tile."""
        return 100 * number

    def place(self, number):
        """Slot and number of a tile, as of two heads in turn."""
        return number // TILES % 2, number % TILES

    async def reciprocals(self, number):
        self.dut.s_read_slot.value, self.dut.s_read_tile.value = self.place(number)
        await ClockCycles(self.dut.aclk, 2)
        return unpacked(self.dut.m_reciprocals.value, RECIPROCAL)


async def _start(dut):
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.aresetn.value = 0
    for port in ("s_clear", "s_write", "s_exponential", "s_read_slot", "s_read_tile"):
        getattr(dut, port).value = 0
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 1)
    softmax = Softmax(dut)
    cocotb.start_soon(softmax.watch())
    return softmax


async def _all_tiles(dut, gaps):
    softmax = await _start(dut)
    dut.s_clear.value = 1
    await ClockCycles(dut.aclk, 1)
    dut.s_clear.value = 0
    tiles = PLAN["parts"]

    async def check(number):
        while int(dut.m_done.value) <= number:
            await ClockCycles(dut.aclk, 1)
        assert await softmax.reciprocals(number) == tiles[number]["reciprocals"], f"tile {number}"

    async def give():
        for number, tile in enumerate(tiles):
            await softmax.give(number, tile, gaps)

    cocotb.start_soon(give())
    for number, tile in enumerate(tiles):
        await check(number)
        for key, codes in enumerate(tile["codes"]):
            part, lane = divmod(key % TOKENS, DEPTH)
            place = softmax.base(number) + key // TOKENS * WORDS + part, lane
            assert softmax.written.pop(place, None) == [codes], f"tile {number}, key {key}"
    await ClockCycles(dut.aclk, 60)
    assert softmax.written == {}
    assert int(dut.m_read.value) == int(dut.m_done.value) == len(tiles)


@cocotb.test(**WITHIN)
async def tiles_as_fast_as_there_is_room(dut):
    """A key a cycle."""
    await _all_tiles(dut, gaps=False)


@cocotb.test(**WITHIN)
async def tiles_with_gaps(dut):
    """Keys come now and then."""
    await _all_tiles(dut, gaps=True)
