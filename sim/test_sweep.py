"""Runs the sweep of every kernel in the bench and writes down how long each took (``sweep.json``)."""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout

PLAN = json.loads(Path("plan.json").read_text(encoding="utf-8"))


@cocotb.test()
async def sweep_every_code(dut):
    """One beat a cycle until every result is there, or the limit in hwnorm_sweep ends it."""
    cocotb.start_soon(Clock(dut.aclk, 10, "ns").start())
    dut.sweep.value = 0
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, 4)
    dut.aresetn.value = 1
    await ClockCycles(dut.aclk, 2)
    dut.sweep.value = 1
    limit = max(kernel["limit"] for kernel in PLAN["kernels"])
    await with_timeout(RisingEdge(dut.sweep_done), 10 * (limit + 100), "ns")
    await ClockCycles(dut.aclk, 1)
    measured = {
        kernel["top"]: {
            what: int(getattr(dut, f"{kernel['top']}_{what}").value)
            for what in ("received", "first_result", "last_result", "differing")
        }
        for kernel in PLAN["kernels"]
    }
    Path("sweep.json").write_text(json.dumps(measured), encoding="utf-8")
