"""One unit for many functions: every layer's own codes, in each form, through emission and verification."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from sample_datapaths import datapaths
from small_packages import fault, sign

from hwnorm.cost.cost import wrapper
from hwnorm.datapath.ir import Datapath
from hwnorm.emit import emit_kernel
from hwnorm.emit.stage import ElementStage
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.package import load_package
from hwnorm.lowering.lower import lower
from hwnorm.resources import resource
from hwnorm.share.form import Form
from hwnorm.share.forms import Offer, offers, pick
from hwnorm.share.functions import Functions
from hwnorm.share.price import tables_resources
from hwnorm.share.stored import layers_of
from hwnorm.share.tables import direct, side_by_side
from hwnorm.synth.synthesize import synthesize
from hwnorm.targets.target import load_target
from hwnorm.testing.kernels import check_evaluate, check_package, check_tokens
from hwnorm.verify import Verdict, verify_packages
from hwnorm.verify.toolchain import find_toolchain

PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
#: Layers of three functions, whose formats, latencies and ranges differ.
LAYERS = {
    "first.norm": ("1.5*tanh(x)", "s10f6", "s8f5"),
    "first.narrow": ("x", "s10f5", "s7f3"),
    "second.norm": ("1.5*tanh(x)", "s10f6", "s8f5"),
    "second.act": ("0.5*x*(erf(x) + 1)", "s8f4", "s8f4"),
}


@cache
def kernel(expression: str, source: str, to: str, target: str = "xcup") -> Datapath:
    formats = FixedFormat.parse(source), FixedFormat.parse(to)
    return lower(parse(expression), *formats, load_target(target), 250.0 if target == "xcup" else 50.0)


@cache
def functions() -> Functions:
    return Functions.of([(layer, kernel(*what)) for layer, what in LAYERS.items()])


@cache
def units(lanes: int = 1) -> dict[Form, ElementStage]:
    found = offers(functions(), load_target("xcup"), 250.0, "unit", lanes)
    return {each.form: each.stage for each in found if each.stage is not None}


# --- what it computes ----------------------------------------------------------------------------------


def test_layers_of_one_function_share_its_number():
    given = functions()
    assert [each.function for each in given.layers] == [0, 1, 0, 2]
    assert (str(given.input), str(given.output)) == ("s12f0", "s8f0")
    codes = given.functions[2].input.codes()
    selected = given.select(2, codes)
    assert len(set(selected.tolist())) == 256
    assert selected.min() >= given.input.min_code
    (piece,) = given.pieces(selected)
    assert piece.datapath is given.functions[2]
    assert piece.codes.tolist() == codes.tolist()


def test_the_certificate_is_of_every_code_of_every_function():
    given = functions()
    whole, each = given.certificate, [function.certificate for function in given.functions]
    assert whole.codes == len(given.codes(0)) == 1024 + 1024 + 256
    assert whole.max_error_ulp == max(c.max_error_ulp for c in each)
    assert whole.mean_error_ulp == pytest.approx(sum(c.mean_error_ulp * c.codes for c in each) / whole.codes)
    (piece,) = given.pieces(np.asarray([whole.worst_code]))
    assert piece.codes[0] == piece.datapath.certificate.worst_code
    assert piece.datapath.certificate.max_error_ulp == whole.max_error_ulp
    layers = layers_of(given)
    assert [each.layer for each in layers] == list(LAYERS)
    assert layers[3].codes == 256
    assert layers[1].max_error_ulp == kernel(*LAYERS["first.narrow"]).certificate.max_error_ulp


@pytest.mark.parametrize("form", Form)
def test_each_form_gives_every_function_s_own_codes(form):
    """What the functions say is the truth, not what the unit says."""
    given, stage = functions(), units()[form]
    for number, function in enumerate(given.functions):
        codes = function.input.codes()
        found = stage.evaluate(given.select(number, codes))
        assert found.tolist() == function.evaluate(codes).tolist()


def test_another_code_is_found():
    stage = units()[Form.TABLES]
    with pytest.raises(AssertionError, match="another code at"):
        functions().check(lambda codes: stage.evaluate(codes) + (codes == functions().select(1, codes[:1])))


@settings(max_examples=40)
@given(datapaths())
def test_the_smallest_table_equals_the_function(datapath):
    """At every code; and a bit less, dropped or of saturation, would not do."""
    table, codes = direct(datapath), datapath.input.codes()
    assert len(table.entries) == 1 << table.bits

    def looked_up(drop: int, bits: int) -> np.ndarray:
        most = (1 << (bits - 1)) - 1
        return np.clip(codes >> drop, ~most, most) & ((1 << bits) - 1)

    found = datapath.evaluate(codes)
    assert found.tolist() == table.entries[looked_up(table.drop, table.bits)].tolist()
    for drop, bits in ((table.drop + 1, table.bits), (table.drop, table.bits - 1)):
        if table.bits > 1 and drop + 1 < datapath.input.width:
            places = looked_up(drop, bits)
            assert any(len(set(found[places == place].tolist())) > 1 for place in set(places.tolist()))


def test_tables_lie_at_multiples_of_their_size_and_equal_ones_once():
    tables = [direct(f) for f in functions().functions] * 2
    layout = side_by_side(tables)
    assert layout.bases[:3] == layout.bases[3:]
    taken = set()
    for table, base in zip(tables[:3], layout.bases, strict=False):
        assert base % len(table.entries) == 0
        words = range(base, base + len(table.entries))
        assert not taken & set(words)
        taken.update(words)
        assert layout.words[words.start : words.stop].tolist() == table.entries.tolist()
    assert len(layout.words) == 1 << layout.address_bits
    # The Verilog's memory has two bits of address at least.
    assert side_by_side([direct(kernel("-x", "s2f0", "s2f0"))]).address_bits == 2


# --- which form ----------------------------------------------------------------------------------------


def test_the_cheapest_is_picked_or_the_one_asked_for():
    found = offers(functions(), load_target("xcup"), 250.0, "unit")
    assert [offer.form for offer in found] == list(Form)
    costs = {offer.form: offer.resources.cost for offer in found if offer.resources}
    assert len(costs) == 3
    assert pick(found, None).form == min(costs, key=costs.__getitem__)
    for form in Form:
        assert pick(found, form).form is form
    dear = load_target("xcup", "bram=100000")
    assert pick(offers(functions(), dear, 250.0, "unit"), None).form is not Form.LOADED


def test_what_cannot_be_built_is_told():
    """Wide inputs have no table; memories of some targets are not known; a select needs bits."""
    wide = Functions.of([("a", kernel("2*x", "s18f6", "s8f2")), ("b", kernel("x", "s10f5", "s7f3"))])
    found = offers(wide, load_target("xcup"), 250.0, "unit")
    assert pick(found, None).form is Form.KERNELS
    assert not wide.exhaustive
    with pytest.raises(InputError, match="option --form: loaded: s18f6 input; a table is made of at most 16"):
        pick(found, Form.LOADED)
    ice = [kernel(*what, target="ice40") for what in LAYERS.values()]
    named = Functions.of([(str(n), each) for n, each in enumerate(ice)])
    loaded = offers(named, load_target("ice40"), 50.0, "unit")[-1]
    assert loaded.resources is None
    assert loaded.why == "the memories of ice40 are not known"
    assert pick([loaded], None) is loaded
    with pytest.raises(InputError, match="no function"):
        Functions.of([])
    with pytest.raises(InputError, match="1 bits of select and codes of 32; at most 32 bits"):
        Functions.of([("a", kernel("x", "s32f6", "s8f2"))])


def test_one_function_is_a_unit_too():
    given = Functions.of([("a", kernel(*LAYERS["first.norm"]))])
    for offer in offers(given, load_target("xcup"), 250.0, "unit"):
        assert isinstance(offer, Offer)
        assert offer.stage is not None


# --- packages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("check", [check_tokens, check_evaluate, check_package])
def test_they_conform(form, check):
    check(units(2)[form])


def named(form: Form, top: str, lanes: int = 1) -> ElementStage:
    stage = next(
        o.stage for o in offers(functions(), load_target("xcup"), 250.0, top, lanes) if o.form is form
    )
    assert stage is not None
    return stage


def entry(folder: Path, name: str) -> None:
    """Change one bit of a table's word in the Verilog."""
    path = folder / "rtl" / f"{name}_core.v"
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if re.match(r" +\S*'sd\d+\}*,?  // \d+", line))
    lines[at] = lines[at].replace("sd", "sd1")
    path.write_text("\n".join(lines) + "\n")
    sign(folder)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> dict[str, Path]:
    """One a form, the first with two lanes, and ones that are wrong somewhere."""
    root = tmp_path_factory.mktemp("units")
    forms = {
        "kernels": (Form.KERNELS, 2),
        "tables": (Form.TABLES, 1),
        "loaded": (Form.LOADED, 1),
        "wrong_select": (Form.KERNELS, 1),
        "wrong_entry": (Form.TABLES, 1),
        "wrong_place": (Form.LOADED, 1),
        "wrong_word": (Form.LOADED, 1),
        "wrong_claim": (Form.KERNELS, 1),
    }
    folders = {}
    for top, (form, lanes) in forms.items():
        folders[top] = root / top
        emit_kernel(named(form, top, lanes), folders[top])
    fault(folders["wrong_select"], "rtl/wrong_select_core.v", "select0[10] ?", "!select0[10] ?")
    entry(folders["wrong_entry"], "wrong_entry")
    fault(folders["wrong_place"], "hls/wrong_place.cpp", "dropped < ~limit", "dropped <= ~limit - 1 - limit")
    memory = folders["wrong_word"] / "rtl" / "wrong_word_tables.mem"
    words = memory.read_text().split()
    memory.write_text("\n".join([f"{int(words[0], 16) ^ 1:x}", *words[1:]]) + "\n")
    sign(folders["wrong_word"])
    told = json.loads((folders["wrong_claim"] / "shared.json").read_text())
    told["functions"][1]["certificate"]["max_error_ulp"] = 0.25
    (folders["wrong_claim"] / "shared.json").write_text(json.dumps(told))
    sign(folders["wrong_claim"])
    return folders


@pytest.fixture(scope="module")
def verdicts(packages) -> dict[str, Verdict]:
    found = verify_packages(list(packages.values()), seed=2)
    return dict(zip(packages, found, strict=True))


@pytest.mark.parametrize("form", Form)
def test_every_rendering_of_every_code_is_verified(verdicts, packages, form):
    """Verilog, combinational core, C++ and each function's certificate; the linter is silent."""
    verdict = verdicts[form]
    assert verdict.problems() == []
    assert (verdict.codes, verdict.exhaustive) == (2304, True)
    assert verdict.hls_bit_exact
    assert verdict.comb_differing == 0
    assert verdict.torch_within_certificate
    again = load_package(packages[form])
    assert again.kernel.certificate == functions().certificate
    assert again.manifest.certified_codes == 2304
    assert "first.norm, second.norm" in (packages[form] / "README.md").read_text()


def test_what_is_wrong_is_found(verdicts):
    """A select, an entry, a saturation in C++, a word of a memory, and the certificate of one function."""
    assert not verdicts["wrong_select"].verilator_bit_exact
    assert verdicts["wrong_entry"].verilator_mismatches > 0
    assert verdicts["wrong_place"].hls_mismatches
    assert not verdicts["wrong_word"].verilator_bit_exact
    claim = verdicts["wrong_claim"]
    assert claim.torch_within_certificate is False
    assert claim.torch_max_error_ulp < functions().certificate.max_error_ulp + 1e-3
    assert not any(verdict.passed for name, verdict in verdicts.items() if name.startswith("wrong"))


def test_other_readers_have_nothing_to_say(packages, yosys, tmp_path):
    """Yosys' check of the elaborated modules, and verible's format."""
    (tmp_path / "rtl").mkdir()
    sources = {path.name: path for form in Form for path in (packages[form] / "rtl").iterdir()}
    for source in sources.values():
        shutil.copy(source, tmp_path / "rtl")
    verilog = [f"rtl/{name}" for name in sources if name.endswith(".v")]
    script = f"read_verilog {' '.join(verilog)}; hierarchy -check; proc; check -assert; "
    script += "select -assert-none t:$*latch*"
    # Yosys looks for what is read where it runs.
    for name in sources:
        if name.endswith(".mem"):
            shutil.copy(tmp_path / "rtl" / name, tmp_path)
    command = [yosys, "-q", "-p", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    verible = shutil.which("verible-verilog-format", path=PLACES)
    if verible is None:
        pytest.skip("verible-verilog-format is not installed")
    style = [f"--{what}_alignment=preserve" for what in ("module_net_variable", "assignment_statement")]
    for source in (path for name, path in sources.items() if name.endswith(".v")):
        told = subprocess.run([verible, *style, source], capture_output=True, text=True, check=False)
        assert told.stdout == source.read_text(), source


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = find_toolchain().environment
    path = os.pathsep.join([environment["PATH"], PLACES])
    return subprocess.run(
        ["make", "-C", folder / "sim"],
        env=environment | {"PATH": path, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tables_are_loaded_at_run_time(packages, tmp_path):
    """Other words and places, by the load port. A test that does not run fails, and so do few vectors."""
    folder = Path(shutil.copytree(packages["loaded"], tmp_path / "loaded"))
    done = make(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_load.other_tables" in done.stdout
    assert "TESTS=5 PASS=5" in done.stdout
    (folder / "sim" / "test_load.py").write_text("")
    done = make(folder)
    assert done.returncode != 0
    assert "FAIL: no tests in test_load" in done.stderr
    vectors = folder / "sim" / "vectors.txt"
    vectors.write_text("".join(vectors.read_text().splitlines(keepends=True)[:100]))
    done = make(folder)
    assert done.returncode != 0
    assert "FAIL: vectors.txt does not hold 2304 vectors" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("wire load_word = load_valid", "wire load_word = load_valid && load_address[0]"),
        ("places[load_address[SELECT-1:0]] <=", "places[{SELECT{1'b0}}] <="),
    ],
)
def test_a_load_that_goes_wrong_is_found(packages, tmp_path, old, new):
    folder = Path(shutil.copytree(packages["loaded"], tmp_path / "loaded"))
    path = folder / "rtl" / "hwnorm_tables.v"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    done = make(folder)
    assert done.returncode != 0
    assert "TESTS=5 PASS=4" in done.stdout


def test_a_description_that_fits_no_unit_is_refused(packages, tmp_path):
    folder = Path(shutil.copytree(packages["kernels"], tmp_path / "copy"))
    told = json.loads((folder / "shared.json").read_text())
    told["layers"][0]["function"] = 7
    (folder / "shared.json").write_text(json.dumps(told))
    sign(folder)
    with pytest.raises(InputError, match=r"shared\.json: share: layer 'first\.norm': function 7; 0 to 2"):
        load_package(folder)


def test_flip_flops_and_memory_blocks_are_predicted_exactly(yosys, tmp_path):
    """Of tables in a block."""
    target = load_target("xcup")
    p = {"SELECT": 2, "CODE": 12, "OUT": 8, "ADDRESS": 10, "DROP": 4}
    source = resource("rtl") / "hwnorm_tables.v"
    made = synthesize([source], "hwnorm_tables", target.flow, tmp_path, p).total
    predicted = tables_resources(p, 1, 4, target)
    assert predicted is not None
    assert (made.bram, made.ff) == (1, predicted.ff - wrapper(1, 14, 4, target)[1])
    assert predicted.bram == 1
