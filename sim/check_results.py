"""Whether all tests of a package ran and passed, whatever the simulator and the version of cocotb.

    python check_results.py RESULTS.xml MODULE...

What ran is told by the file that cocotb writes; what there is, by the modules beside this one.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

_TEST = re.compile(r"^@cocotb\.test\(.*?\)\s*^async def (\w+)", re.MULTILINE)


def faults(results, modules):
    """One line for each test that did not run, or did not pass."""
    wanted, found = {}, []
    for module in modules:
        names = _TEST.findall(Path(__file__).with_name(f"{module}.py").read_text(encoding="utf-8"))
        wanted |= {(module, name): "did not run" for name in names}
        if not names:
            found.append(f"no tests in {module}")
    try:
        cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return [*found, f"{results}: {error}: the simulation did not end"]
    for case in cases:
        names = case.get("classname", "").rpartition(".")[2], case.get("name", "").rpartition(".")[2]
        wanted.pop(names, None)
        if any(part.tag in ("failure", "error", "skipped") for part in case):
            found.append(f"{'.'.join(names)} did not pass")
    return found + [f"{'.'.join(names)} {what}" for names, what in wanted.items()]


if __name__ == "__main__":
    lines = faults(sys.argv[1], sys.argv[2:])
    for line in lines:
        print(f"FAIL: {line}", file=sys.stderr)
    sys.exit(1 if lines else 0)
