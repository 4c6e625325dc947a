"""A Tcl interpreter in which Vivado's commands are recorded, and checked against what they name.

It knows the interfaces and pins of the IPs that the scripts instantiate, by AMD's product guides (PG021 AXI
DMA, PG247 SmartConnect, PG164 Processor System Reset, PG201 Zynq UltraScale+, PG085 AXI4-Stream converters),
and those of the engine by its Verilog. A command that is not here, or one that names what is not there, is
an error. It stands in for no run of Vivado.
"""

from __future__ import annotations

import re
import tkinter
from pathlib import Path
from typing import Any

AXIS = ("tdata", "tvalid", "tready", "tlast")
AXI_LITE = (
    *("awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready"),
    *("bresp", "bvalid", "bready"),
    *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
)
#: By IP: interfaces as ``name: (kind, mode)``, inputs, outputs. What depends on settings is added by them.
IPS: dict[str, tuple[dict[str, tuple[str, str]], set[str], set[str]]] = {
    "xilinx.com:ip:zynq_ultra_ps_e": ({}, set(), set()),
    "xilinx.com:ip:proc_sys_reset": (
        {},
        {"slowest_sync_clk", "ext_reset_in"},
        {"interconnect_aresetn", "peripheral_aresetn"},
    ),
    "xilinx.com:ip:axi_dma": ({"S_AXI_LITE": ("aximm", "slave")}, {"s_axi_lite_aclk", "axi_resetn"}, set()),
    "xilinx.com:ip:smartconnect": ({}, {"aclk", "aresetn"}, set()),
    "xilinx.com:ip:xlconcat": ({}, set(), {"dout"}),
    "xilinx.com:ip:axis_dwidth_converter": (
        {"S_AXIS": ("axis", "slave"), "M_AXIS": ("axis", "master")},
        {"aclk", "aresetn"},
        set(),
    ),
}


class Ports:
    """The ports of a Verilog module: name -> (direction, bits)."""

    def __init__(self, text: str) -> None:
        header = re.sub(r"//.*", "", text[text.index("module hwnorm_engine") :].split(");")[0])
        self.all = {
            name: (direction, int(high) + 1 if high else 1)
            for direction, high, name in re.findall(
                r"(input|output)\s+wire\s+(?:\[\s*(\d+):0\])?\s*(\w+)", header
            )
        }

    def interfaces(self) -> dict[str, tuple[str, str]]:
        """Those that Vivado infers from names: name -> (kind, mode)."""
        found = {}
        for kind, signals, first in (("axis", AXIS, "tvalid"), ("aximm", AXI_LITE, "awvalid")):
            for port, (direction, _) in self.all.items():
                name = port.removesuffix(f"_{first}")
                if name != port and all(f"{name}_{signal}" in self.all for signal in signals):
                    found[name] = kind, "slave" if direction == "input" else "master"
        return found

    @property
    def single(self) -> set[str]:
        """Ports of no interface."""
        return {p for p in self.all if not any(p.startswith(f"{name}_") for name in self.interfaces())}


class Cell:
    """An instance in the block design."""

    def __init__(self, name: str, ip: str, ports: Ports) -> None:
        self.name, self.ip = name, ip
        self.settings: dict[str, str] = {}
        if ip == "hwnorm:hwnorm:hwnorm_engine":
            self.own = ports.interfaces(), ports.single, set()
        else:
            self.own = IPS[ip]

    def number(self, setting: str, default: int = 0) -> int:
        return int(self.settings.get(f"CONFIG.{setting}", default))

    @property
    def pins(self) -> tuple[dict[str, tuple[str, str]], set[str], set[str]]:
        """Interfaces, inputs and outputs, with these settings."""
        interfaces, inputs, outputs = dict(self.own[0]), set(self.own[1]), set(self.own[2])
        kind = self.ip.rpartition(":")[2]
        if kind == "smartconnect":
            interfaces |= {f"S{n:02}_AXI": ("aximm", "slave") for n in range(self.number("NUM_SI", 1))}
            interfaces |= {f"M{n:02}_AXI": ("aximm", "master") for n in range(self.number("NUM_MI", 1))}
        elif kind == "xlconcat":
            inputs |= {f"In{n}" for n in range(self.number("NUM_PORTS", 2))}
        elif kind == "axi_dma":
            assert self.number("c_include_sg", 1) == 0, "scatter gather has an interface more"
            for way, stream in (("mm2s", ("M_AXIS_MM2S", "master")), ("s2mm", ("S_AXIS_S2MM", "slave"))):
                if self.number(f"c_include_{way}", 1):
                    interfaces[f"M_AXI_{way.upper()}"] = "aximm", "master"
                    interfaces[stream[0]] = "axis", stream[1]
                    inputs.add(f"m_axi_{way}_aclk")
                    outputs.add(f"{way}_introut")
        elif kind == "zynq_ultra_ps_e":
            for setting, name, mode, clock in (
                ("PSU__USE__M_AXI_GP0", "M_AXI_HPM0_FPD", "master", "maxihpm0_fpd_aclk"),
                ("PSU__USE__M_AXI_GP1", "M_AXI_HPM1_FPD", "master", "maxihpm1_fpd_aclk"),
                ("PSU__USE__S_AXI_GP2", "S_AXI_HP0_FPD", "slave", "saxihp0_fpd_aclk"),
                ("PSU__USE__S_AXI_GP3", "S_AXI_HP1_FPD", "slave", "saxihp1_fpd_aclk"),
            ):
                # The board's preset has both master ports.
                if self.number(setting, int(mode == "master")):
                    interfaces[name] = "aximm", mode
                    inputs.add(clock)
            if self.number("PSU__USE__IRQ0"):
                inputs.add("pl_ps_irq0")
            outputs |= {"pl_clk0", "pl_resetn0"}
        return interfaces, inputs, outputs

    def bits(self, interface: str, ports: Ports) -> int:
        """Of TDATA."""
        if interface in ports.interfaces():
            return ports.all[f"{interface}_tdata"][1]
        return {
            "M_AXIS_MM2S": self.number("c_m_axis_mm2s_tdata_width"),
            "S_AXIS_S2MM": self.number("c_s_axis_s2mm_tdata_width"),
            "S_AXIS": 8 * self.number("S_TDATA_NUM_BYTES"),
            "M_AXIS": 8 * self.number("M_TDATA_NUM_BYTES"),
        }[interface]


class Vivado:
    """What a script did: files, properties, interfaces, registers, cells and nets, calls in order."""

    def __init__(
        self,
        package: Path,
        infers: bool = True,
        boards: str = "xilinx.com:zcu102:part0:3.3 xilinx.com:zcu102:part0:3.4",
        progress: str = "100%",
        slack: str = "0.1",
    ) -> None:
        self.package = package
        self.ports = Ports((package / "rtl" / "hwnorm_engine.v").read_text())
        self.infers, self.boards, self.progress, self.slack = infers, boards, progress, slack
        #: What a command found wrong: Tcl tells of a Python error by its type alone.
        self.fault = ""
        self.calls: list[tuple[str, ...]] = []
        self.files: list[str] = []
        self.properties: dict[tuple[str, str], str] = {}
        self.interfaces: dict[str, tuple[str, str]] = {}
        self.clocked: dict[str, str] = {}
        self.maps = ["auto"]
        self.registers: dict[str, dict[str, Any]] = {}
        self.cells: dict[str, Cell] = {}
        self.nets: dict[str, str] = {}
        self.addresses: dict[str, tuple[int, int]] = {}
        self.tcl = tkinter.Tcl()
        self.tcl.createcommand("record", self._record)
        self.tcl.eval("proc unknown args { return [record {*}$args] }; proc puts text { record said $text }")

    def source(self, script: str) -> None:
        """Run a script of the package; TclError where it ends with an error."""
        self.tcl.call("source", str(self.package / "vivado" / script))

    def called(self, command: str) -> list[tuple[str, ...]]:
        return [call[1:] for call in self.calls if call[0] == command]

    def _record(self, *words: str) -> str:
        self.calls.append(words)
        name = words[0].removeprefix("::").replace("::", "_")
        try:
            return getattr(self, f"tcl_{name}")(*words[1:]) or ""
        except Exception as error:
            self.fault = f"{' '.join(words)}: {error!r}"
            raise

    # --- projects --------------------------------------------------------------------------------------

    def _nothing(self, *_: str) -> str:
        return ""

    tcl_said = tcl_create_project = tcl_close_project = tcl_update_compile_order = _nothing
    tcl_update_ip_catalog = tcl_create_bd_design = tcl_save_bd_design = tcl_make_wrapper = _nothing
    tcl_ipx_create_xgui_files = tcl_ipx_update_checksums = tcl_ipx_check_integrity = _nothing
    tcl_launch_runs = tcl_wait_on_run = tcl_open_run = _nothing
    tcl_report_utilization = tcl_report_timing_summary = tcl_write_hw_platform = _nothing

    def tcl_current_fileset(self) -> str:
        return "fileset"

    def tcl_current_project(self) -> str:
        return "project"

    def tcl_add_files(self, option: str, files: str) -> None:
        assert option == "-norecurse"
        for file in self.tcl.splitlist(files):
            assert Path(file).is_file(), f"{file} is no file"
            self.files.append(str(Path(file).relative_to(self.package)))

    def tcl_set_property(self, *words: str) -> None:
        if words[0] == "-dict":
            settings, target = self.tcl.splitlist(words[1]), words[2]
            pairs = list(zip(settings[::2], settings[1::2], strict=True))
        else:
            name, value, target = words
            pairs = [(name, value)]
        for name, value in pairs:
            self.properties[target, name] = value
            if target in self.cells:
                self.cells[target].settings[name] = value

    def tcl_get_property(self, name: str, target: str) -> str:
        if name == "interface_mode":
            return self.interfaces[target.removeprefix("interface:")][1]
        told = {
            "PROGRESS": self.progress,
            "SLACK": self.slack,
            "STATUS": "status",
            "DIRECTORY": "runs/impl_1",
        }
        return target.removeprefix("map:") if name == "name" else told[name]

    # --- the IP ----------------------------------------------------------------------------------------

    def tcl_ipx_package_project(self, *words: str) -> None:
        given = dict(zip(words[::2], words[1::2], strict=False))
        assert "-import_files" in words
        if self.infers:
            self.interfaces = self.ports.interfaces()
        root = Path(given["-root_dir"])
        root.mkdir()
        (root / "component.xml").touch()

    def tcl_ipx_current_core(self) -> str:
        return "core"

    def tcl_ipx_get_bus_interfaces(self, name: str, *of: str) -> str:
        assert of == ("-of_objects", "core")
        return f"interface:{name}" if name in self.interfaces else ""

    def tcl_ipx_infer_bus_interface(self, ports: str, vlnv: str, core: str) -> None:
        names = self.tcl.splitlist(ports)
        missing = set(names) - set(self.ports.all)
        assert not missing, f"no ports {missing}"
        kind = {"xilinx.com:interface:axis_rtl:1.0": "axis", "xilinx.com:interface:aximm_rtl:1.0": "aximm"}
        name = names[0].rpartition("_")[0]
        assert self.ports.interfaces()[name][0] == kind[vlnv]
        self.interfaces[name] = self.ports.interfaces()[name]

    def tcl_ipx_associate_bus_interfaces(self, *words: str) -> None:
        given = dict(zip(words[:-1:2], words[1::2], strict=True))
        assert words[-1] == "core"
        self.clocked[given.get("-busif", "reset")] = given["-clock"] + given.get("-reset", "")

    def tcl_ipx_get_memory_maps(self, *_: str) -> str:
        return " ".join(f"map:{name}" for name in self.maps)

    def tcl_ipx_remove_memory_map(self, name: str, core: str) -> None:
        self.maps.remove(name)

    def tcl_ipx_add_memory_map(self, name: str, core: str) -> str:
        self.maps.append(name)
        return f"map:{name}"

    def tcl_ipx_add_address_block(self, name: str, memory: str) -> str:
        assert memory.removeprefix("map:") in self.maps
        return f"block:{name}"

    def tcl_ipx_add_register(self, name: str, block: str) -> str:
        assert name not in self.registers
        self.registers[name] = {}
        return f"register:{name}"

    def tcl_ipx_add_field(self, name: str, register: str) -> str:
        self.registers[register.removeprefix("register:")][name] = f"field:{register}:{name}"
        return f"field:{register}:{name}"

    def tcl_ipx_save_core(self, core: str) -> None:
        self.saved = True

    # --- the block design ------------------------------------------------------------------------------

    def tcl_get_board_parts(self, *_: str) -> str:
        return self.boards

    def tcl_create_bd_cell(self, *words: str) -> str:
        assert words[:3] == ("-type", "ip", "-vlnv")
        vlnv, name = words[3:]
        parts = vlnv.split(":")
        assert name not in self.cells
        self.cells[name] = Cell(name, ":".join(parts[:3]), self.ports)
        self.cells[name].settings["version"] = ":".join(parts[3:])
        return name

    def tcl_apply_bd_automation(self, *words: str) -> None:
        assert words[:2] == ("-rule", "xilinx.com:bd_rule:zynq_ultra_ps_e")

    def tcl_get_bd_intf_pins(self, pin: str) -> str:
        cell, name = pin.split("/")
        assert name in self.cells[cell].pins[0], f"{pin}: there are {sorted(self.cells[cell].pins[0])}"
        return pin

    def tcl_get_bd_pins(self, pin: str) -> str:
        cell, name = pin.split("/")
        _, inputs, outputs = self.cells[cell].pins
        assert name in inputs | outputs, f"{pin}: there are {sorted(inputs | outputs)}"
        return pin

    def _interface(self, pin: str) -> tuple[str, str]:
        cell, name = pin.split("/")
        return self.cells[cell].pins[0][name]

    def tcl_connect_bd_intf_net(self, one: str, other: str) -> None:
        kinds, modes = zip(*(self._interface(pin) for pin in (one, other)), strict=True)
        assert len(set(kinds)) == 1, f"{one} is {kinds[0]}, {other} {kinds[1]}"
        assert modes == ("master", "slave"), f"{one} is a {modes[0]}, {other} a {modes[1]}"
        if kinds[0] == "axis":
            widths = [
                self.cells[pin.split("/")[0]].bits(pin.split("/")[1], self.ports) for pin in (one, other)
            ]
            assert widths[0] == widths[1], f"{one} has {widths[0]} bits, {other} {widths[1]}"
        for pin in (one, other):
            assert pin not in self.nets, f"{pin} is connected already"
            self.nets[pin] = one

    def tcl_connect_bd_net(self, source: str, pin: str) -> None:
        assert source.split("/")[1] in self.cells[source.split("/")[0]].pins[2], f"{source} drives nothing"
        assert pin.split("/")[1] in self.cells[pin.split("/")[0]].pins[1], f"{pin} is no input"
        assert pin not in self.nets, f"{pin} is driven already"
        self.nets[pin] = source

    def tcl_get_bd_addr_spaces(self, name: str) -> str:
        assert name == "ps/Data"
        return name

    def tcl_get_bd_addr_segs(self, name: str) -> str:
        cell, interface, segment = name.split("/")
        assert self._interface(f"{cell}/{interface}") == ("aximm", "slave")
        assert segment == ("registers" if cell == "engine" else "Reg")
        return name

    def tcl_assign_bd_address(self, *words: str) -> None:
        if not words:
            return
        given = dict(zip(words[:-1:2], words[1::2], strict=True))
        size = int(given["-range"].removesuffix("K")) << 10
        begin = int(given["-offset"], 16)
        assert begin % size == 0
        for other, (at, length) in self.addresses.items():
            assert begin + size <= at or at + length <= begin, f"{words[-1]} overlaps {other}"
        self.addresses[words[-1]] = begin, size

    def tcl_validate_bd_design(self) -> None:
        """Every interface and every input of every cell is connected."""
        for cell in self.cells.values():
            interfaces, inputs, _ = cell.pins
            for pin in (*interfaces, *inputs):
                assert f"{cell.name}/{pin}" in self.nets, f"{cell.name}/{pin} is not connected"

    def tcl_get_files(self, name: str) -> str:
        return name

    def tcl_get_runs(self, name: str) -> str:
        return name

    def tcl_get_timing_paths(self, option: str) -> str:
        assert option == "-setup"
        return "path"
