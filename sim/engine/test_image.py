"""Images of several geometries, each cut into patches on their way in.

``plan.json`` says of each instance of sim/engine/engine_image_bench.v: ``pixels`` a beat, ``images`` as
bytes in hexadecimal, and ``words``, what is to be read of each image: bytes, the lowest first, or null where
no patch is. ``data`` is the width of a place for words.
"""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))
DATA = PLAN["data"]


class Instance:
    """One geometry: what it is sent, and what has been read of it."""

    def __init__(self, number, plan):
        self.number = number
        self.rng = random.Random(number)
        self.words = plan["words"]
        size = plan["pixels"]
        self.beats = []
        for image in plan["images"]:
            pixels = bytes.fromhex(image)
            for at in range(0, len(pixels), size):
                beat = int.from_bytes(pixels[at : at + size], "little")
                self.beats.append((beat, at + size == len(pixels)))
        self.valid = self.done = False
        self.image = self.read = self.address = 0
        self.wait = 0

    @property
    def over(self):
        """All images have been read."""
        return self.image == len(self.words)

    def step(self, tready, ready, data):
        """A cycle: what its outputs were, and then what its inputs are to be."""
        if self.valid and tready:
            self.beats.pop(0)
            self.valid = False
        self.valid = self.valid or (bool(self.beats) and self.rng.randrange(4) > 0)
        self.done = False
        if self.wait:
            self.wait -= 1
        elif not self.over and ready >> (self.image % 2) & 1:
            # The word whose address has been there for a cycle.
            if self.read:
                self.compare(self.address, data)
                self.address += 1
            self.read = True
            self.wait = 1
            if self.address == len(self.words[self.image]):
                self.done, self.read, self.address, self.wait = True, False, 0, self.rng.randrange(2, 40)
                self.image += 1

    def compare(self, address, data):
        """A word that was read with what it is to be."""
        wanted = self.words[self.image][address]
        found = [data >> (8 * i) & 255 for i in range(len(wanted))]
        known = [one if two is not None else None for one, two in zip(found, wanted, strict=True)]
        assert known == wanted, f"geometry {self.number}, image {self.image}, word {address}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def every_geometry(dut):
    """Each word of each image, while the next one comes."""
    instances = [Instance(i, plan) for i, plan in enumerate(PLAN["parts"])]
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.aresetn.value = 0
    dut.tvalid.value = dut.done.value = dut.address.value = 0
    await ClockCycles(dut.aclk, 3)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    while not all(one.over for one in instances):
        await RisingEdge(dut.aclk)
        tready, ready, data = (int(port.value) for port in (dut.tready, dut.ready, dut.data))
        assert dut.error.value == 0
        at = dict.fromkeys(("tvalid", "tlast", "tdata", "done", "address"), 0)
        for i, one in enumerate(instances):
            one.step(tready >> i & 1, ready >> (2 * i) & 3, data >> (i * DATA) & ((1 << DATA) - 1))
            beat, last = one.beats[0] if one.valid else (0, False)
            at["tvalid"] |= one.valid << i
            at["tlast"] |= last << i
            at["tdata"] |= beat << (64 * i)
            at["done"] |= one.done << i
            at["address"] |= one.address << (16 * i)
        for name, value in at.items():
            getattr(dut, name).value = value
