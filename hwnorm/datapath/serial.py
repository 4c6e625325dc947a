"""Datapaths as JSON: what a package's ``datapath.json`` holds, and what it must be to be believed."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError, WithJsonSchema

from hwnorm.artefact import first_fault
from hwnorm.datapath.cells import CELLS
from hwnorm.datapath.ir import Datapath, Node
from hwnorm.fixed import MAX_WIDTH

#: Widths that a kernel's input and output may have.
_PORT_WIDTHS = range(2, 33)
#: Entries of the largest table.
_MOST_ENTRIES = 1 << 14
#: The arguments that a cell brings to a common binary point.
_ALIGNED = {
    "add": slice(0, 2),
    "sub": slice(0, 2),
    "min": slice(0, 2),
    "max": slice(0, 2),
    "select": slice(1, 3),
}
#: Cells whose parameter counts bits, or names one.
_BIT_PARAMETERS = ("table", "low_bits", "float_code", "gate")

_SHAPE: TypeAdapter[Datapath] = TypeAdapter(Datapath)


def to_json(datapath: Datapath) -> dict[str, Any]:
    """The datapath as plain JSON types; :func:`from_json` gives back an equal one."""
    # Of most formats, and of all inside, nothing need be said: they are signed.
    plain = (("signed", True), ("purpose", ""))
    return asdict(datapath, dict_factory=lambda fields: {k: v for k, v in fields if (k, v) not in plain})


def from_json(data: Any) -> Datapath:
    """Rebuild a datapath from :func:`to_json`'s result.

    Raises:
        ValueError: it is none; one line that begins with the field, such as ``nodes.3.args``.
    """
    try:
        datapath = _SHAPE.validate_python(data)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from None
    _check_whole(datapath)
    for index, node in enumerate(datapath.nodes):
        fault = _fault(datapath, index, node)
        if fault is not None:
            raise ValueError(f"nodes.{index}.{fault}")
    return datapath


def _check_whole(datapath: Datapath) -> None:
    """What holds for the datapath beside its nodes."""
    for name in ("input", "output"):
        fmt = getattr(datapath, name)
        if fmt.width not in _PORT_WIDTHS:
            raise ValueError(f"{name}.width: {fmt.width} bits; a kernel's {name} has 2 to 32")
    if not datapath.nodes:
        raise ValueError("nodes: empty; the last node drives the output")
    if datapath.nodes[-1].fmt != datapath.output.inside:
        raise ValueError(f"output: {datapath.output}; the last node has {datapath.nodes[-1].fmt}")
    if datapath.latency < 1:
        raise ValueError(f"latency: {datapath.latency}; a kernel's result is registered: at least 1")
    if not 0 < datapath.clock_mhz < math.inf:
        raise ValueError(f"clock_mhz: {datapath.clock_mhz:g}; a positive number is needed")
    certificate = datapath.certificate
    if not 0 <= certificate.max_error_ulp < math.inf:
        raise ValueError(f"certificate.max_error_ulp: {certificate.max_error_ulp:g}; 0 or more is possible")
    if certificate.codes < 1:
        raise ValueError(f"certificate.codes: {certificate.codes}; at least 1 is needed")
    if not datapath.expression.isprintable():
        raise ValueError("expression: holds characters that cannot be printed")


def _fault(datapath: Datapath, index: int, node: Node) -> str | None:
    """The first thing that is wrong with a node, as ``field: what``."""
    if not all(text.isprintable() for text in (node.name, node.part, node.purpose)):
        return "name: it, the part or the purpose holds characters that cannot be printed"
    wanted = CELLS[node.cell].arity
    if len(node.args) != wanted:
        return f"args: {len(node.args)}; the cell {node.cell.value} has {wanted}"
    late = [arg for arg in node.args if not 0 <= arg < index]
    if late:
        return f"args: {late[0]}; an argument is an earlier node, 0 to {index - 1}"
    # A node that nothing reads may stand in any stage: it is not built.
    last = datapath.latency - 1 if index == len(datapath.nodes) - 1 else node.stage
    if not 0 <= node.stage <= last:
        return f"stage: {node.stage}; with a latency of {datapath.latency}, 0 to {datapath.latency - 1}"
    before = [arg for arg in node.args if datapath.nodes[arg].stage > node.stage]
    if before:
        return (
            f"stage: {node.stage}; its argument {before[0]} is computed in {datapath.nodes[before[0]].stage}"
        )
    return _format_fault(datapath, node) or _parameter_fault(node)


def _format_fault(datapath: Datapath, node: Node) -> str | None:
    formats = [datapath.nodes[arg].fmt for arg in node.args]
    if node.cell.value == "input" and node.fmt != datapath.input.inside:
        return f"fmt: {node.fmt}; the input has {datapath.input}"
    unsigned = int(not datapath.input.signed)
    if node.cell.value == "input" and node.parameter != unsigned:
        return f"parameter: {node.parameter}; of an input {datapath.input} it is {unsigned}"
    if not node.fmt.signed:
        return f"fmt: {node.fmt}; signals inside are signed"
    if abs(node.fmt.frac) > 4 * MAX_WIDTH:
        return f"fmt.frac: {node.fmt.frac}; at most {4 * MAX_WIDTH} bits from the binary point are possible"
    aligned = formats[_ALIGNED.get(node.cell.value, slice(0))]
    if aligned:
        frac = max(fmt.frac for fmt in aligned)
        widest = max(fmt.width + frac - fmt.frac for fmt in aligned)
        if widest > MAX_WIDTH:
            return f"args: aligned, they have {widest} bits; at most {MAX_WIDTH} are possible"
    return None


def _parameter_fault(node: Node) -> str | None:
    kind = node.cell.value
    if kind in _BIT_PARAMETERS and not 0 <= node.parameter <= MAX_WIDTH:
        return f"parameter: {node.parameter}; a number of bits is 0 to {MAX_WIDTH}"
    if kind == "constant" and not node.fmt.min_code <= node.parameter <= node.fmt.max_code:
        return f"parameter: {node.parameter}; {node.fmt} holds {node.fmt.min_code} to {node.fmt.max_code}"
    if kind != "table":
        return f"table: {len(node.table)} entries; the cell {kind} has none" if node.table else None
    entries = len(node.table)
    if not 1 <= entries <= _MOST_ENTRIES or entries & (entries - 1):
        return f"table: {entries} entries; a power of two is needed, at most {_MOST_ENTRIES}"
    if node.parameter + entries.bit_length() - 1 > MAX_WIDTH:
        return f"table: {entries} entries from bit {node.parameter} up; an address ends at bit {MAX_WIDTH}"
    # An entry that no address reaches need not fit the format.
    beyond = [entry for entry in node.table if entry.bit_length() >= MAX_WIDTH]
    return f"table: entry {beyond[0]}; at most {MAX_WIDTH} bits are possible" if beyond else None


#: A datapath in an artefact.
DatapathField = Annotated[
    Datapath,
    PlainValidator(lambda value: value if isinstance(value, Datapath) else from_json(value)),
    PlainSerializer(to_json, return_type=dict[str, Any], when_used="json"),
    WithJsonSchema({"type": "object", "description": "a datapath, as datapath.json of a package holds it"}),
]
