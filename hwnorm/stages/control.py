"""The control: a run's network with all its LayerNorms, beside the one with functions."""

from __future__ import annotations

from hwnorm.errors import InputError
from hwnorm.runs.folder import CONTROL, RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import Norms
from hwnorm.stages.quantize import quantize


def with_norms(run: RunFolder, norms: Norms | None) -> RunFolder:
    """The run folder of the network that has these norms: the run's own, or that of its control.

    The control is a run folder of its own, ``RUN/layernorm``, with the run's settings but for the norms: so
    none of its artefacts can be taken for the run's. A run whose own network has LayerNorms is its control.

    Args:
        run: the run.
        norms: None for those of the run.

    Raises:
        InputError: functions are asked for, and the run's network has LayerNorms.
    """
    if norms is None or norms is run.settings.norms:
        return run
    if norms is Norms.FUNCTIONS:
        raise InputError(
            f"option --norms: {run.path}: its own network has LayerNorms; "
            f"`hwnorm quantize {run.path} --norms functions` makes the other"
        )
    settings = run.settings.model_copy(update={"norms": Norms.LAYERNORM, "keep_norms": ""})
    return RunFolder(run.path / CONTROL, settings, started=False, store=run.store)


def make_control(control: RunFolder, inputs: Inputs) -> None:
    """Write a control's settings, and its integers unless they are current.

    Raises:
        InputError: as :func:`hwnorm.stages.quantize.quantize`; or a file is where its folder would be.
    """
    if control.path.exists() and not (control.path / "run.json").is_file():
        raise InputError(f"{control.path}: is no run folder, and the control would be there; move it away")
    control.path.mkdir(exist_ok=True)
    control.write_settings()
    control.started = True
    quantize(control, inputs)


def open_control(run: RunFolder, norms: Norms | None) -> RunFolder:
    """As :func:`with_norms`, where the control's engine is there already.

    Raises:
        InputError: there is no control, or it was made with other settings of the run.
    """
    wanted = with_norms(run, norms)
    if wanted is run:
        return run
    renew = f"`hwnorm engine {run.path} --norms {norms}`"
    if not (wanted.path / "run.json").is_file():
        raise InputError(f"{wanted.path}: not there; run {renew} first")
    if RunFolder.open(wanted.path).settings != wanted.settings:
        raise InputError(f"{wanted.path}: stale: made with other settings; {renew} renews it")
    wanted.started = True
    return wanted
