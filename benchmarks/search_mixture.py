"""Seconds until the search of one layer reaches the ceiling on a made-up layer, with two peers beside it.

x is drawn from three normal distributions in four, one and one parts (N(0, 1), N(-2, 1/2), N(0, 3)),
y = 0.8 x / sqrt(1 + 0.3 x^2) + N(0, 0.1): 100,000 samples. The search sees the profile's bins alone; R2 is
taken over all samples. The peers (extra ``peers``) see the samples: pyoperon with Levenberg-Marquardt, and
gplearn, one thread and the same seconds each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from hwnorm.expression import parse
from hwnorm.profile import LayerProfile, bin_edges
from hwnorm.search.layer import LayerSearch, SearchSettings

SAMPLES, NOISE = 100_000, 0.1
SHARE = 0.9999
SETTINGS = SearchSettings(16, 8, "xcup", 250.0, population=64, generations=10**6, seed=0)


def truth(x: np.ndarray) -> np.ndarray:
    """What there is to find; its R2 is the ceiling (that of the bins lies above it, by their noise)."""
    return np.asarray(0.8 * x / np.sqrt(1 + 0.3 * x**2))


def samples(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y, float32 (SAMPLES,)."""
    rng = np.random.default_rng(seed)
    part = rng.choice(3, SAMPLES, p=[4 / 6, 1 / 6, 1 / 6])
    x = rng.normal(np.array([0.0, -2.0, 0.0])[part], np.array([1.0, 0.5, 3.0])[part])
    y = truth(x) + rng.normal(0, NOISE, SAMPLES)
    return x.astype(np.float32), y.astype(np.float32)


def r2_of(values: np.ndarray, y: np.ndarray) -> float:
    """1 - mean squared error / variance."""
    return 1.0 - float(np.mean((values - y) ** 2) / y.var())


def ours(x: np.ndarray, y: np.ndarray, seed: int, seconds: float, operators: str | None = None) -> str:
    """Search until SHARE of the profile's ceiling or the time is up."""
    began, cpu = time.monotonic(), time.process_time()
    pairs = torch.from_numpy(x), torch.from_numpy(y)
    profile = LayerProfile.empty(1, bin_edges(pairs[0]))
    profile.update(*pairs, images=1)
    settings = SearchSettings(**vars(SETTINGS) | {"seed": seed, "operators": operators})
    search = LayerSearch("mixture", profile, settings)
    state, ceiling = search.advance(None, 0, 0), r2_of(truth(x), y)
    while True:
        # Of all shapes met, on the front or not: tables come nearer still, and are no feat.
        best = min((k for k in state.known.values() if k), key=lambda k: k.error)
        if 1.0 - best.error >= SHARE * ceiling or time.monotonic() - began >= seconds:
            break
        state = search.advance(state, 0, 1)
    wall, used = time.monotonic() - began, time.process_time() - cpu
    function = search.judge.candidates(parse(best.shape))[0].expression
    measured = r2_of(function.numpy(x), y)
    return (
        f"R2 {measured:.5f} of {ceiling:.5f} ({measured / ceiling:.5f} of it) in "
        f"{wall:.1f} s, {used:.1f} s of CPU, generation {state.generation}: {function}"
    )


def pyoperon(x: np.ndarray, y: np.ndarray, seed: int, seconds: float) -> str:
    """Its own defaults but for the symbols, the local search and the time."""
    from pyoperon.sklearn import SymbolicRegressor

    model = SymbolicRegressor(
        allowed_symbols="add,sub,mul,div,tanh,sqrt,square,constant,variable",
        optimizer_iterations=5,
        generations=10**6,
        max_evaluations=10**9,
        max_time=int(seconds),
        n_threads=1,
        random_state=seed,
    )
    model.fit(x[:, None], y)
    return f"R2 {r2_of(model.predict(x[:, None]), y):.5f}"


def gplearn(x: np.ndarray, y: np.ndarray, seed: int, seconds: float) -> str:
    """Its defaults but for the functions and the size; generations until the time is up."""
    from gplearn.functions import make_function
    from gplearn.genetic import SymbolicRegressor

    tanh = make_function(function=np.tanh, name="tanh", arity=1)
    model: Any = SymbolicRegressor(
        population_size=1000,
        generations=1,
        function_set=("add", "sub", "mul", "div", "sqrt", "abs", tanh),
        parsimony_coefficient=1e-4,
        warm_start=True,
        random_state=seed,
    )
    end = time.monotonic() + seconds
    model.fit(x[:, None], y)
    while time.monotonic() < end:
        model.set_params(generations=model.generations + 1)
        model.fit(x[:, None], y)
    return f"R2 {r2_of(model.predict(x[:, None]), y):.5f}"


def main() -> None:
    """Print a line a seed and tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--operators", help="as that of hwnorm run: what hwnorm may use")
    parser.add_argument("--peers", action="store_true", help="pyoperon and gplearn too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tools: dict[str, Callable[[np.ndarray, np.ndarray, int, float], str]] = {
        "hwnorm": partial(ours, operators=args.operators)
    }
    if args.peers:
        tools |= {"pyoperon": pyoperon, "gplearn": gplearn}
    for seed in range(args.seeds):
        x, y = samples(seed)
        for name, tool in tools.items():
            print(f"seed {seed}  {name:9}{tool(x, y, seed, args.seconds)}", flush=True)


if __name__ == "__main__":
    main()
