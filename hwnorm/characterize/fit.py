"""Coefficients of a target from measured kernels: not negative, for small relative errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from hwnorm.characterize.measure import Measured
from hwnorm.cost.cost import path_terms, path_times, table_terms
from hwnorm.cost.structure import structure
from hwnorm.datapath.ir import Datapath
from hwnorm.targets.target import CONTEXT, TABLE_BITS, TableRow, Target

#: Tables of no more address bits are taken as they are: a function of so few inputs is one that was measured.
EXACT_BITS = 2
#: Relative errors of kernels smaller than this count as if they were of this size.
SMALL = 2.0
#: Errors beyond this count in proportion, not squared: a few odd kernels do not bend the fit.
ODD = 0.05
ROUNDS = 20
#: How much a factor is drawn to 1 where the kernels say nothing.
PULL = 0.02


def unfitted(bits: int) -> TableRow:
    """The row of tables that no measurement tells of: a column is a function of all address bits."""
    last = bits == TABLE_BITS.stop - 1
    levels = (0.0,) * max(0, bits - 2) + ((1.0 if last else 0.0,) if bits > 1 else ())
    return TableRow(address_bits=bits, functions=0.0 if last else 1.0, levels=levels)


def _fitted(features: np.ndarray, areas: np.ndarray, sizes: np.ndarray, pull: float) -> np.ndarray:
    """Coefficients, none negative, for which ``features`` times them are near ``areas``, in shares of sizes.

    Soft-L1 loss, by least squares of errors that are weighed again and again.
    """
    matrix, wanted = features / sizes[:, None], areas / sizes
    count = features.shape[1]
    weight = np.ones(len(wanted))
    for _ in range(ROUNDS):
        rows = np.vstack([matrix * weight[:, None], pull * np.eye(count)])
        best, _ = nnls(rows, np.concatenate([wanted * weight, np.full(count, pull)]))
        weight = (1.0 + ((matrix @ best - wanted) / ODD) ** 2) ** -0.25
    return np.asarray(best)


def fit_tables(target: Target, kernels: Sequence[Measured]) -> Target:
    """Coefficients of tables."""
    found: defaultdict[int, list[tuple[list[float], float]]] = defaultdict(list)
    for m in kernels:
        built = structure(m.datapath.nodes, m.datapath.latency)
        names = [node.name for node in m.datapath.nodes if len(node.table) > 1]
        for name, table in zip(names, built.tables, strict=True):
            if name not in m.tables:
                continue
            bits = min(table.address_bits, TABLE_BITS.stop - 1)
            alone, levels = table_terms(table, target)
            # Functions of many inputs share most of what they have: their sum says nothing of large tables.
            alone = alone if bits < TABLE_BITS.stop - 1 else 0.0
            found[bits].append(([alone, *levels], m.tables[name].in_unit(target.unit)))
    rows = []
    for bits in TABLE_BITS:
        row = unfitted(bits)
        if len(found[bits]) >= 3 * (bits + 1) and bits > EXACT_BITS:
            features, areas = (np.array(column, dtype=float) for column in zip(*found[bits], strict=True))
            best = _fitted(features, areas, np.maximum(areas, SMALL), pull=0.0)
            row = TableRow(
                address_bits=bits, functions=round(best[0], 4), levels=tuple(np.round(best[1:], 4))
            )
        rows.append(row)
    return target.changed(tables=tuple(rows))


def fit_context(target: Target, kernels: Sequence[Measured]) -> Target:
    """Factors of operations."""
    kinds = [kind for kind in CONTEXT if kind not in ("mul", "square")]
    features, areas, totals = [], [], []
    for m in kernels:
        built = structure(m.datapath.nodes, m.datapath.latency)
        row = dict.fromkeys(kinds, 0.0)
        fixed = 0.0
        for (kind, size), count in built.operations:
            alone = count * target.cost(kind, *size).area
            if kind in row:
                row[kind] += alone
            else:
                fixed += alone
        if target.unit != "LUT":
            fixed += target.register_area * m.core.ff
        core = m.core.in_unit(target.unit)
        features.append(list(row.values()))
        areas.append(core - fixed)
        totals.append(m.total.in_unit(target.unit))
    best = _fitted(np.array(features), np.array(areas), np.maximum(np.array(totals), SMALL), pull=PULL)
    context = dict.fromkeys(CONTEXT, 1.0) | {k: round(float(v), 4) for k, v in zip(kinds, best, strict=True)}
    return target.changed(context=context)


def fit_paths(target: Target, datapaths: Sequence[Datapath], reached_mhz: Sequence[float]) -> Target:
    """``register_ns``, ``path_factor`` and ``table_spread_ns``, from placed stages.

    Which path of a stage is the slowest follows from what is fitted: so they are fitted again and again.
    """
    periods = 1000.0 / np.array(reached_mhz)
    terms = [path_terms(datapath.nodes, target) for datapath in datapaths]
    times = np.ones(3)
    for _ in range(ROUNDS):
        rows = []
        for datapath, of_nodes in zip(datapaths, terms, strict=True):
            _, path = max(path_times(datapath.nodes, [float(times[1:] @ t) for t in of_nodes]))
            rows.append([1.0, *np.sum([of_nodes[i] for i in path], axis=0)])
        times = _fitted(np.array(rows), periods, periods, pull=0.0)
    register, factor, spread = (round(float(v), 4) for v in times)
    return target.changed(register_ns=register, path_factor=factor, table_spread_ns=spread)
