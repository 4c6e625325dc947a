"""Optuna's study of a sweep: the samplers' memory, and a store that Optuna's own tools read.

Trials' ``result.json`` files are the truth; this is brought up to date from them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from hwnorm.errors import InputError
from hwnorm.runs.settings import RunSettings
from hwnorm.runs.storage import masked, reason
from hwnorm.runs.studies import SETTINGS, Value
from hwnorm.sweep.study import Parameters, Range, Study, step_of

#: The attribute of a trial that was added with its result: Optuna's own number is another.
NUMBER = "trial"
#: Of NSGA-II: studies have tens of trials, and the first generation is random.
POPULATION = 10


class Book:
    """Optuna's study: asked for parameters, told of results.

    A grid's study is made anew if its axes have grown, of which Optuna does not approve.

    Args:
        new: the sweep's study has only begun.

    Raises:
        InputError: the storage cannot be used, or holds a study of that name already.
    """

    def __init__(self, study: Study, new: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._head = study.file.study
        self._distributions = {name: _distribution(name, v) for name, v in study.file.axes.items()}
        self._study = _open(study, new)
        trials = self._study.get_trials(deepcopy=False)
        if self._head.sampler == "grid" and any(t.distributions != self._distributions for t in trials):
            optuna.delete_study(study_name=study.name, storage=self._study._storage)
            self._study = _open(study, new=False)
        self._told: set[tuple[int, str]] = set()
        #: Trials that were asked for, by number.
        self.asked: dict[int, Parameters] = {}
        self._running: set[int] = set()
        for trial in self._study.get_trials(deepcopy=False):
            number = _number(trial)
            params = trial.params
            if len(params) < len(self._distributions):
                params = self._completed(trial)
            self.asked[number] = _parameters(params)
            if trial.state.is_finished():
                self._told.add((number, "complete" if trial.state is TrialState.COMPLETE else "failed"))
            else:
                self._running.add(number)

    def ask(self) -> tuple[int, Parameters]:
        """The number and parameters of a new trial.

        They depend on the trials that were told and on the seed, not on how often the sweep was stopped.
        """
        self._study.sampler = _sampler(self._head.sampler, self._head.seed, len(self.asked))
        trial = self._study.ask(self._distributions)
        self.asked[trial.number] = _parameters(trial.params)
        self._running.add(trial.number)
        return trial.number, self.asked[trial.number]

    def _completed(self, trial: FrozenTrial) -> dict[str, Any]:
        """The parameters of a trial that was stopped while they were drawn, as they would have been.

        Each is drawn and kept by itself, and the trial is the last one that was asked for.
        """
        sampler = _sampler(self._head.sampler, self._head.seed, len(self.asked))
        self._study.sampler = sampler
        going_on = optuna.trial.Trial(self._study, trial._trial_id)
        for name, distribution in self._distributions.items():
            if name in trial.params and name not in going_on.relative_params:
                sampler.sample_independent(self._study, trial, name, distribution)
            going_on._suggest(name, distribution)
        return going_on.params

    def tell(self, row: Mapping[str, Any], parameters: Parameters) -> None:
        """A trial has finished with this row; one that was told already is left as it is."""
        number, state = int(row["trial"]), str(row["state"])
        if (number, state) in self._told:
            return
        complete = state == "complete"
        values = [row["accuracy_bit_true"], row["area"]] if complete else None
        told = TrialState.COMPLETE if complete else TrialState.FAIL
        if number in self._running:
            self._study.tell(number, values, told)
            self._running.discard(number)
        else:
            self._study.add_trial(
                optuna.create_trial(
                    state=told,
                    values=values,
                    params={name: _choice(value) for name, value in parameters.items()},
                    distributions=self._distributions,
                    user_attrs={NUMBER: number},
                )
            )
        self._told.add((number, state))
        self.asked[number] = parameters


def _number(trial: FrozenTrial) -> int:
    return int(trial.user_attrs.get(NUMBER, trial.number))


def _open(study: Study, new: bool) -> optuna.Study:
    url, path = study.file.study.storage, study.folder / "optuna.sqlite3"
    if url is None:
        if not path.is_file():
            _make(path)
        return _create(study, _sqlite(path))
    if (file := re.fullmatch(r"sqlite:///([^/:?][^?]*)", url)) is not None:
        url = f"sqlite:///{(study.path.parent / file[1]).absolute()}"  # as all paths in a study file
    try:
        storage = optuna.storages.RDBStorage(url)
        there = study.name in optuna.get_all_study_names(storage)
    except Exception as error:  # a database's driver may raise anything
        why = reason(error, url)
        raise InputError(f"{study.path}: study.storage: {masked(url)!r} cannot be used ({why})") from None
    if there and new:
        raise InputError(
            f"{study.path}: study.storage: holds a study {study.name!r} already, of another folder; "
            "call the study file otherwise"
        )
    return _create(study, storage)


def _create(study: Study, storage: optuna.storages.RDBStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=study.name, storage=storage, directions=["maximize", "minimize"], load_if_exists=True
    )


def _make(path: Path) -> None:
    """An empty database, whole or not at all."""
    for stray in path.parent.glob(f".*.{path.name}*"):
        stray.unlink()
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    _sqlite(beside)
    os.replace(beside, path)


def _sqlite(path: Path) -> optuna.storages.RDBStorage:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")

    # Waiting for the disk at every step is most of a trial's cost, and what a power failure loses
    # is in the trials' own files.
    @event.listens_for(storage.engine, "connect")
    def _(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    storage.engine.dispose()
    return storage


def _sampler(name: str, seed: int, number: int) -> BaseSampler:
    """A sampler for one trial: its random stream begins with the seed and the trial's number."""
    stream = (seed * 1_000_003 + number) % 2**32
    match name:
        case "nsga2":
            return NSGAIISampler(population_size=POPULATION, seed=stream)
        case "tpe":
            return TPESampler(seed=stream)
        case _:
            return RandomSampler(seed=stream)


def _distribution(name: str, values: list[Value] | Range) -> BaseDistribution:
    if isinstance(values, list):
        return CategoricalDistribution([_choice(value) for value in values])
    annotation = RunSettings.model_fields[SETTINGS[name]].annotation
    if int in (get_args(annotation) or (annotation,)):
        step = step_of(name)
        low, high = -(-int(values.low) // step) * step, int(values.high) // step * step
        return IntDistribution(low, high, log=values.log, step=step)
    return FloatDistribution(float(values.low), float(values.high), log=values.log)


def _choice(value: Value) -> bool | int | float | str:
    """A value as Optuna can hold it; a table of settings as JSON."""
    return json.dumps(value) if isinstance(value, dict) else value


def _parameters(params: Mapping[str, Any]) -> Parameters:
    return {
        name: json.loads(v) if isinstance(v, str) and v.startswith("{") else v for name, v in params.items()
    }
