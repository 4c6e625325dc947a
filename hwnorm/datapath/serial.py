"""Datapaths as JSON: what a package's ``datapath.json`` holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hwnorm.datapath.ir import Cell, Certificate, Datapath, Node
from hwnorm.fixed import FixedFormat


def to_json(datapath: Datapath) -> dict[str, Any]:
    """The datapath as plain JSON types; :func:`from_json` gives back an equal one."""
    return asdict(datapath)


def from_json(data: dict[str, Any]) -> Datapath:
    """Rebuild a datapath from :func:`to_json`'s result."""
    nodes = tuple(
        Node(
            **node
            | {
                "cell": Cell(node["cell"]),
                "args": tuple(node["args"]),
                "fmt": FixedFormat(**node["fmt"]),
                "table": tuple(node["table"]),
            }
        )
        for node in data["nodes"]
    )
    formats = {key: FixedFormat(**data[key]) for key in ("input", "output")}
    return Datapath(**data | formats | {"nodes": nodes, "certificate": Certificate(**data["certificate"])})
