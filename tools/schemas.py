"""Write the JSON Schema of every artefact into hwnorm/schemas: ``python tools/schemas.py``."""

from __future__ import annotations

import json
from pathlib import Path

import hwnorm
from hwnorm.artefact import Artefact, json_schema
from hwnorm.engine.stored import EngineManifest
from hwnorm.engine.synthesis import EngineSynthesis
from hwnorm.files import write_text
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.nas.stored import NasFront, StoredSpace
from hwnorm.network.subnet import SubnetFile
from hwnorm.runs.folder import RunFile
from hwnorm.runs.products import PRODUCTS
from hwnorm.runs.studies import FrontFile, PickedPoint, Result, StudyRecord
from hwnorm.supernet.stored import SupernetFile
from hwnorm.synth.package import Synthesis
from hwnorm.verify.verdict import Verdict

#: Of packages and studies; a run's are in its declarations.
OTHERS: tuple[type[Artefact], ...] = (
    RunFile,
    EngineManifest,
    EngineSynthesis,
    PackageManifest,
    Synthesis,
    Verdict,
    StudyRecord,
    Result,
    FrontFile,
    PickedPoint,
    StoredSpace,
    NasFront,
    SubnetFile,
    SupernetFile,
)

if __name__ == "__main__":
    for model in (*OTHERS, *(product.model for product in PRODUCTS)):
        text = json.dumps(json_schema(model), indent=1, sort_keys=True)
        write_text(Path(hwnorm.__file__).parent / "schemas" / f"{model.KIND}.json", text + "\n")
