"""The study file: what it may say, what a trial's settings are, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_trials import GRID, write_study

from hwnorm.errors import InputError
from hwnorm.runs.settings import RunSettings
from hwnorm.runs.studies import SETTINGS
from hwnorm.sweep.book import _distribution
from hwnorm.sweep.study import grid, read_study

HEAD = "[axes]\ninput_bits = [8, 10]\n"


def test_settings_are_named_as_the_options(tmp_path):
    """Every option of a run that is a setting, by its long name with underscores; a trial has no integers."""
    integers = {"quantize", *RunSettings().quantizing} - {"clock_mhz"}
    assert set(SETTINGS.values()) == set(RunSettings.model_fields) - integers
    study = write_study(tmp_path, "[run]\nclock = 300\nno_dsp = true\n" + HEAD)
    found = study.settings({"input_bits": 10})
    assert (found.clock_mhz, found.no_dsp, found.input_bits) == (300.0, True, 10)
    assert not found.quantize


def test_paths_are_relative_to_the_file(tmp_path):
    """Wherever the sweep is started; the table has them as the file does."""
    models = '[{ model = "vit", weights = "a.pth" }, { model = "builtin" }]'
    text = f'[run]\ndata = "images"\n[axes]\nmodel = {models}'
    with pytest.raises(InputError, match=r"run: data: .*images: not there"):
        write_study(tmp_path, text)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match=r"axes.model: weights: .*a.pth: not there"):
        write_study(tmp_path, text)
    (tmp_path / "a.pth").touch()
    study = write_study(tmp_path, text)
    first, second = grid(study.file.axes)
    assert study.settings(first).data == tmp_path / "images"
    assert study.settings(first).weights == tmp_path / "a.pth"
    assert study.row(first) == {"model": "vit", "weights": "a.pth"}
    assert study.row(second) == {"model": "builtin", "weights": None}


def test_a_grid_goes_over_all_combinations(tmp_path):
    """The last axis fastest."""
    study = write_study(tmp_path, GRID)
    found = [tuple(parameters.values()) for parameters in grid(study.file.axes)]
    assert len(set(found)) == 24
    assert found[:4] == [(8, 6, 0.05), (8, 6, 0.3), (8, 6, 1.0), (8, 8, 0.05)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("axes = 3", "axes: 3; "),
        ("[axes]\n", "axes: {}; "),
        ("", "axes: not there"),
        ("[axs]\na = 1\n" + HEAD, "axs: not known; closest: axes"),
        ('[study]\nsampler = "gird"\n' + HEAD, "study.sampler: 'gird'; input should be 'grid', 'random'"),
        ("[study]\ntrails = 3\n" + HEAD, "study.trails: not known; closest: trials"),
        ("[study]\ntrials = 3\n" + HEAD, "a grid has as many as there are combinations"),
        ('[study]\nsampler = "tpe"\n' + HEAD, "a sampler needs them"),
        ('[study]\nsampler = "tpe"\ntrials = 0\n' + HEAD, "study.trials: 0; input should be greater"),
        ("[run]\ninput_bit = 3\n" + HEAD, "run.input_bit: no setting of a run; closest: input_bits"),
        ("[run]\nimages = [3]\n" + HEAD, "run.images: [3]; a value was expected"),
        ("[run]\nimages = 0\n" + HEAD, "run: images: 0; input should be greater"),
        ('[run]\ntarget = "ecp9"\n' + HEAD, "run: target 'ecp9': unknown"),
        ("[run]\ninput_bits = 9\n" + HEAD, "input_bits: set in run and axes.input_bits"),
        ("[axes]\ninput_bits = [8, 99]", "axes.input_bits: input-bits: 99; input should be less"),
        ("[axes]\ninput_bits = []", "axes.input_bits: []; at least one"),
        ("[axes]\ninput_bits = 8", "axes.input_bits: 8; a list of values"),
        ("[axes]\ninput_bits = [8, 8]", "axes.input_bits: 8 is there twice"),
        ("[axes]\nclock_mhz = [100.0]", "axes.clock_mhz: no setting of a run; closest: clock"),
        ("[axes]\nwithin = { low = 0.1, high = 1.0 }", "axes.within: a range; a grid needs a list"),
        ("[axes]\nbudget = [{ within = 0.1 }, 3]", "tables beside single values"),
        ("[axes]\nbudget = [{ within = 0.1 }, { witin = 0.2 }]", "axes.witin: no setting"),
        ("[axes]\nb = [{ within = 0.1 }]\nwithin = [0.2]", "within: set in axes.b and axes.within"),
        (
            "[axes]\na = [{ lanes = 1 }, { max_loss = 1.0 }]\nb = [{ seed = 1 }, { total_area = 9.0 }]",
            'axes, {"a": {"max_loss": 1.0}, "b": {"total_area": 9.0}}: give --total-area or --max-loss',
        ),
        ("[axes\n", "cannot be read as TOML"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, text, message):
    """File, key, what was found, what would be right; nothing is written."""
    with pytest.raises(InputError) as caught:
        write_study(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 's.toml'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{ low = 2, high = 1 }", "low must be the lower"),
        ("{ low = 0, high = 1, log = true }", "above 0 with log"),
        ("{ low = 0.1, high = 1.0, lag = true }", "axes.within"),
        ('{ low = "a", high = 1 }', "axes.within"),
    ],
)
def test_ranges_that_are_none(tmp_path, values, message):
    """The axis and what is wrong with its range."""
    with pytest.raises(InputError, match=r"axes\.within") as caught:
        write_study(tmp_path, f'[study]\nsampler = "tpe"\ntrials = 2\n[axes]\nwithin = {values}')
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    """Or is not called as a study file is."""
    with pytest.raises(InputError, match=r"no\.toml: not there"):
        read_study(tmp_path / "no.toml")
    (tmp_path / "study").write_text(GRID)
    with pytest.raises(InputError, match=r"study: a study file is called NAME\.toml"):
        read_study(Path(tmp_path / "study"))


def test_a_range_is_drawn_in_the_steps_that_a_run_takes(tmp_path):
    """Whatever a sampler draws of it is a setting that a run can have."""
    head = '[study]\nsampler = "random"\ntrials = 3\n[axes]\n'
    study = write_study(
        tmp_path, head + "population = { low = 8, high = 64 }\ngenerations = { low = 1, high = 3 }"
    )
    drawn = _distribution("population", study.file.axes["population"])
    assert (drawn.low, drawn.high, drawn.step) == (8, 64, 4)
    assert _distribution("generations", study.file.axes["generations"]).step == 1
    with pytest.raises(InputError, match=r"axes\.population: multiples of 4 cannot be drawn with log"):
        write_study(tmp_path, head + "population = { low = 8, high = 64, log = true }", name="b")


@pytest.mark.parametrize(
    "text", ["[axes]\nclock = [true]", "[run]\nclock = true\n" + HEAD, "[axes]\nseed = [false]"]
)
def test_a_truth_is_no_number(tmp_path, text):
    with pytest.raises(InputError, match="it is no switch: give it a value"):
        write_study(tmp_path, text)


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    (tmp_path / "s.toml").write_text("\ufeff" + HEAD, encoding="utf-8")
    assert list(grid(read_study(tmp_path / "s.toml").file.axes)) == [{"input_bits": 8}, {"input_bits": 10}]
