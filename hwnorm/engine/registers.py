"""The registers of the engine: all texts about them are rendered from ``rtl/engine/engine.rdl``.

The description is SystemRDL 2.0, of which the head of that file says what is used. Anything else is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from systemrdl import RDLCompileError, RDLCompiler
from systemrdl.messages import DetailedFileSourceRef, FileSourceRef, MessagePrinter, Severity, SourceRefBase
from systemrdl.node import AddrmapNode, FieldNode, Node, RegNode
from systemrdl.rdltypes import AccessType

from hwnorm.emit.render import render as fill
from hwnorm.errors import InputError
from hwnorm.names import top_name
from hwnorm.resources import resource
from hwnorm.version import VERSION

#: Bits of a register, and bytes.
WIDTH, BYTES = 32, 4
#: What is rendered: the name of the file, and that of its template in ``templates/engine/``.
RENDERINGS = {
    "hwnorm_engine_registers.v": "registers.v.j2",
    "hwnorm_engine.h": "driver.h.j2",
    "hwnorm_engine.py": "driver.py.j2",
    "hwnorm_engine.xml": "ipxact.xml.j2",
    "hwnorm_engine.md": "registers.md.j2",
}
#: What the drivers and IP-XACT call by name: registers and fields.
NEEDED = (
    *("ID.MAGIC", "VERSION.MAJOR", "VERSION.MINOR", "CONTROL.START", "CONTROL.CLEAR"),
    *("STATUS.DONE", "STATUS.ERROR", "ERROR"),
)
#: Ports of the slave that no field is the name of.
_BUS = re.compile(r"aclk|aresetn|s_axi_\w+")


class Kind(Enum):
    """Where the value of a field is from, or where it goes."""

    CONSTANT = "constant"
    #: A Verilog parameter of the slave.
    PARAMETER = "parameter"
    #: An input of the slave, held by the core.
    INPUT = "input"
    #: Whether any bit of another register is set.
    ANY = "any"
    #: An output of the slave, high for one cycle after software has written a one. Reads as zero.
    PULSE = "pulse"


@dataclass(frozen=True)
class Field:
    """Some bits of a register, the lowest of which is bit ``low``."""

    name: str
    description: str
    unit: str
    low: int
    width: int
    kind: Kind
    #: Of a constant.
    value: int = 0
    #: The Verilog parameter, or the register of which any bit counts.
    source: str = ""

    @property
    def high(self) -> int:
        return self.low + self.width - 1

    @property
    def mask(self) -> int:
        """Its bits in the register."""
        return ((1 << self.width) - 1) << self.low

    @property
    def port(self) -> str:
        """The slave's port, where it has one."""
        return self.name.lower()


@dataclass(frozen=True)
class Register:
    """32 bits at a byte offset; ``fields`` from the lowest bit up."""

    name: str
    title: str
    description: str
    offset: int
    fields: tuple[Field, ...]
    #: The core drives all of it by one input of 32 bits, zero where no field is.
    one_port: bool

    @property
    def port(self) -> str:
        """The slave's port, where it has one for the whole register."""
        return self.name.lower()

    @property
    def written(self) -> bool:
        """Software writes it, and reads zero; any other register is read alone."""
        return self.fields[0].kind is Kind.PULSE

    @property
    def counter(self) -> bool:
        """One number that the core counts."""
        return self.one_port and len(self.fields) == 1

    @property
    def value(self) -> int | None:
        """What it always reads, if that is known here."""
        if any(field.kind not in (Kind.CONSTANT, Kind.PULSE) for field in self.fields):
            return None
        return sum(field.value << field.low for field in self.fields)

    def field(self, name: str) -> Field:
        """The field of a name, which is there."""
        return next(field for field in self.fields if field.name == name)

    def parts(self) -> list[Field | int]:
        """All of its bits from the highest down: fields, and how many bits no field has."""
        parts: list[Field | int] = []
        above = WIDTH
        for field in reversed(self.fields):
            if gap := above - field.low - field.width:
                parts.append(gap)
            parts.append(field)
            above = field.low
        return [*parts, above] if above else parts


@dataclass(frozen=True)
class RegisterMap:
    """All registers, by rising offset."""

    name: str
    title: str
    description: str
    registers: tuple[Register, ...]

    @property
    def address_bits(self) -> int:
        """Of the slave's byte addresses: as few as reach every register."""
        return max((self.registers[-1].offset + BYTES - 1).bit_length(), 3)

    @property
    def size(self) -> int:
        """Bytes that the slave takes of the address space."""
        return 1 << self.address_bits

    def register(self, name: str) -> Register:
        """The register of a name, which is there."""
        return next(register for register in self.registers if register.name == name)

    def all_of(self, kind: Kind) -> list[Field]:
        """The fields of a kind, by rising place."""
        return [field for register in self.registers for field in register.fields if field.kind is kind]

    def ports(self) -> list[str]:
        """The names of the slave's ports to the core, in order."""
        names = [field.port for field in self.all_of(Kind.PULSE)]
        for register in self.registers:
            if register.one_port:
                names.append(register.port)
            else:
                names += [field.port for field in register.fields if field.kind is Kind.INPUT]
        return names


def description_file() -> Path:
    """Where the shipped description of the engine's registers lies."""
    return resource("rtl") / "engine" / "engine.rdl"


def render(path: Path | None = None, version: str = VERSION) -> dict[str, str]:
    """Render every text about the registers that ``path`` describes.

    Args:
        path: a SystemRDL file with one addressmap; the shipped ``rtl/engine/engine.rdl`` if None.
        version: hwnorm's, as the head of each text says it.

    Returns:
        The text of each file by its name: the AXI4-Lite slave in Verilog-2005, the C header, the Python
        driver, the IP-XACT (IEEE 1685-2014) component, the page in Markdown.

    Raises:
        InputError: as :func:`read` does.
    """
    registers = read(path or description_file())
    context = {"map": registers, "version": version, "Kind": Kind}
    return {name: fill(f"engine/{template}", context) for name, template in RENDERINGS.items()}


def read(path: Path) -> RegisterMap:
    """Read a description of registers.

    Raises:
        InputError: it is not there, is not SystemRDL, or has something that is not rendered; the message
            names the file and the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: not there; a SystemRDL file was expected")
    messages = _Messages()
    compiler = RDLCompiler(message_printer=messages)
    try:
        compiler.compile_file(str(path))
        made = _Reader(compiler).map(compiler.elaborate().top)
    except RDLCompileError as error:
        raise InputError(messages.lines[0] if messages.lines else f"{path}: {error}") from None
    # A warning, as of a field that nobody can read, is about something that is not rendered.
    if messages.lines:
        raise InputError(messages.lines[0])
    return made


class _Messages(MessagePrinter):
    """Collects what the compiler says, a line each, instead of printing it in colours."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print_message(self, severity: Severity, text: str, src_ref: SourceRefBase | None) -> None:
        place = ""
        if isinstance(src_ref, DetailedFileSourceRef):
            place = f"{src_ref.path}:{src_ref.line}: "
        elif isinstance(src_ref, FileSourceRef):
            place = f"{src_ref.path}: "
        # The last message only counts the ones before it.
        if place or not self.lines:
            self.lines.append(place + " ".join(text.split()))


class _Reader:
    """Takes an elaborated tree apart; errors go by way of the compiler, which knows the line."""

    def __init__(self, compiler: RDLCompiler) -> None:
        self.compiler = compiler

    def refuse(self, node: Node, text: str) -> NoReturn:
        """Raise an error at a node's line."""
        self.compiler.msg.fatal(f"{node.get_path()}: {text}", node.inst.inst_src_ref or node.inst.def_src_ref)

    def text(self, node: Node, name: str) -> str:
        """A property that must be there, on one line."""
        found = node.get_property(name, default=None)
        if not found:
            self.refuse(node, f"has no {name}")
        return " ".join(str(found).split())

    def map(self, node: AddrmapNode) -> RegisterMap:
        registers = []
        for child in node.children(unroll=True, skip_not_present=False):
            if not isinstance(child, RegNode):
                self.refuse(child, "a register was expected: nothing else is rendered")
            registers.append(self.register(child))
            # SystemRDL lets a register to write and one to read share an address.
            if len(registers) > 1 and registers[-2].offset == registers[-1].offset:
                self.refuse(child, f"at the offset of {registers[-2].name}; one of its own was expected")
        if not registers:
            self.refuse(node, "has no registers")
        made = RegisterMap(node.inst_name, self.text(node, "name"), self.text(node, "desc"), tuple(registers))
        self.check_names(node, made)
        there = {register.name for register in registers}
        there |= {f"{register.name}.{field.name}" for register in registers for field in register.fields}
        for name in NEEDED:
            if name not in there:
                self.refuse(node, f"has no {name}, which the drivers need")
        return made

    def register(self, node: RegNode) -> Register:
        if node.address_offset % BYTES:
            self.refuse(node, f"at the offset {node.address_offset:#x}; a multiple of {BYTES} was expected")
        if node.is_array or node.get_property("regwidth") != WIDTH:
            self.refuse(node, f"one register of {WIDTH} bits was expected")
        fields = tuple(self.field(field) for field in node.fields())
        if len({field.kind is Kind.PULSE for field in fields}) > 1:
            self.refuse(node, "has fields to write beside fields to read; they need two registers")
        one_port = bool(node.get_property("one_port", default=False))
        if one_port and any(field.kind is not Kind.INPUT for field in fields):
            self.refuse(node, "one_port, but not every field is an input (sw = r; hw = w)")
        title, description = self.text(node, "name"), self.text(node, "desc")
        return Register(node.inst_name, title, description, node.address_offset, fields, one_port)

    def field(self, node: FieldNode) -> Field:
        kind, value, source = self.meaning(node)
        return Field(
            node.inst_name,
            self.text(node, "desc"),
            self.text(node, "unit"),
            node.low,
            node.width,
            kind,
            value,
            source,
        )

    def meaning(self, node: FieldNode) -> tuple[Kind, int, str]:
        """What a field is, its constant, and its source."""
        access = node.get_property("sw"), node.get_property("hw")
        reset = node.get_property("reset")
        parameter = node.get_property("verilog_parameter", default=None)
        register = node.get_property("any_of", default=None)
        if access == (AccessType.r, AccessType.na):
            if isinstance(reset, int) and parameter is None and register is None:
                return Kind.CONSTANT, reset, ""
            if reset is None and parameter is not None and register is None and node.width == WIDTH:
                return Kind.PARAMETER, 0, str(parameter)
            if reset is None and parameter is None and register is not None and node.width == 1:
                if not register.get_property("one_port", default=False):
                    self.refuse(node, f"any_of {register.inst_name}, which is no one_port register")
                return Kind.ANY, 0, register.inst_name
        if reset is None and access == (AccessType.r, AccessType.w):
            return Kind.INPUT, 0, ""
        pulse = node.get_property("singlepulse") and node.width == 1 and reset == 0
        if pulse and access == (AccessType.w, AccessType.r):
            return Kind.PULSE, 0, ""
        self.refuse(
            node,
            "is neither a constant, a Verilog parameter of 32 bits, an input, any_of a register, "
            "nor a pulse of one bit, as the head of rtl/engine/engine.rdl describes them",
        )

    def check_names(self, node: AddrmapNode, made: RegisterMap) -> None:
        """Refuse names that cannot be ports or parameters, and those that two would have."""
        parameters = [field.source for field in made.all_of(Kind.PARAMETER)]
        for names in (made.ports(), parameters):
            for name in names:
                try:
                    top_name(name)
                except ValueError as error:
                    self.refuse(node, str(error))
                if names.count(name) > 1 or _BUS.fullmatch(name):
                    self.refuse(node, f"two ports or parameters of the slave would be named {name}")
