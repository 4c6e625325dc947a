"""The stage ``cosim``: whole images through the Verilog of a run's engine."""

from __future__ import annotations

import numpy as np

from hwnorm.engine.package import read_engine, rtl_of
from hwnorm.engine.simulate import Simulator, compare
from hwnorm.engine.stored import PACKAGE, StoredCosim
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import COSIM
from hwnorm.stages.engine import picked_program
from hwnorm.verify.toolchain import find_toolchain


def cosim(run: RunFolder, inputs: Inputs, images: int) -> StoredCosim:
    """Write and return ``cosim.json``: logits beside the integer network's, cycles beside the prediction.

    The Verilog is that of the package ``engine/``, as it lies there.

    Raises:
        InputError: no engine, one that is older than its network, or fewer test images.
        ToolError: Verilator failed, or the engine came to an error or to nothing.
    """
    program = picked_program(run, inputs)
    folder = run.path / PACKAGE
    rtl = rtl_of(folder, read_engine(folder))
    tests = inputs.test_images
    if not 1 <= images <= len(tests):
        raise InputError(f"option --images: {images}; there are {len(tests)} test images")
    codes = np.concatenate([part.numpy() for part, _ in tests.limited(images).batches(100)])
    found = Simulator(program, rtl).run(codes)
    agreement = compare(program, codes, found)
    stored = StoredCosim(
        images=images,
        logits_equal=agreement.logits,
        cycles_equal=agreement.cycles,
        predicted=[timing.cycles for timing in agreement.timings],
        counted=[image.cycles for image in found],
        test_fingerprint=tests.fingerprint,
    )
    made_from = run.made_from(COSIM, inputs, options=digest(images), tools=digest(find_toolchain().versions))
    run.write(COSIM, stored, made_from)
    return stored
