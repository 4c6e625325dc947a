"""Optuna's side: a storage by its URL, and one that cannot be used."""

from __future__ import annotations

import optuna
import pytest
from synthetic_trials import quick, write_study

from hwnorm.errors import InputError
from hwnorm.sweep.book import Book
from hwnorm.sweep.sweep import sweep

STUDY = '[study]\nstorage = "{url}"\n[axes]\ninput_bits = [8, 10, 12]'


def test_a_storage_by_its_url_holds_the_study(tmp_path):
    """Under the study's name, in place of the file in its folder; a second sweep adds nothing."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    study = write_study(tmp_path, STUDY.format(url=url))
    for _ in range(2):
        sweep(study, run_trial=quick)
    assert len(optuna.load_study(study_name="s", storage=url).get_trials()) == 3
    assert not (study.folder / "optuna.sqlite3").exists()


def test_two_studies_of_one_name_in_a_storage_are_refused(tmp_path):
    """The second has another folder, whose trials are not those."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    sweep(write_study(tmp_path / "one", STUDY.format(url=url)), run_trial=quick)
    with pytest.raises(InputError, match=r"study\.storage: holds a study 's' already"):
        sweep(write_study(tmp_path / "two", STUDY.format(url=url)), run_trial=quick)


@pytest.mark.parametrize("url", ["nonsense", "nosuchdb://host/x", "sqlite:////no/such/folder/x.db"])
def test_a_storage_that_cannot_be_used_is_named(tmp_path, url):
    """One line with the URL; with a better one the study begins."""
    with pytest.raises(InputError, match=r"s\.toml: study\.storage: '.*' cannot be used") as caught:
        sweep(write_study(tmp_path, STUDY.format(url=url)), run_trial=quick)
    assert "\n" not in str(caught.value)
    mended = write_study(tmp_path, STUDY.format(url=f"sqlite:///{tmp_path / 'shared.db'}"))
    assert sweep(mended, run_trial=quick).ran == 3


def test_a_samplers_trials_need_its_storage(tmp_path):
    """Results alone do not tell a sampler what it was asked: a lost database is told, nothing is run."""
    text = '[study]\nsampler = "random"\ntrials = 2\n[axes]\ninput_bits = [8, 10, 12]'
    study = write_study(tmp_path, text)
    sweep(study, run_trial=quick)
    (study.folder / "optuna.sqlite3").unlink()
    with pytest.raises(InputError, match="trial 0 is not in Optuna's storage"):
        sweep(study, run_trial=quick)


@pytest.mark.parametrize("sampler", ["random", "nsga2", "tpe"])
@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_a_trial_stopped_while_its_parameters_are_drawn_is_drawn_whole(tmp_path, monkeypatch, sampler, drawn):
    """After none, one or two of three: the next who opens the book has it with all, as without the stop."""
    text = f'[study]\nsampler = "{sampler}"\ntrials = 4\n[axes]\ninput_bits = [8, 10, 12, 16]\n'
    text += "output_bits = { low = 4, high = 12 }\nwithin = { low = 0.01, high = 1.0, log = true }"
    books = {}
    for name in ("whole", "stopped"):
        study = write_study(tmp_path, text, name)
        study.folder.mkdir()
        books[name] = Book(study, new=True)
    for _ in range(2):
        books["whole"].ask()
    suggest, left = optuna.trial.Trial._suggest, [3 + drawn]

    def stopping(self, *args):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return suggest(self, *args)

    monkeypatch.setattr(optuna.trial.Trial, "_suggest", stopping)
    books["stopped"].ask()
    with pytest.raises(KeyboardInterrupt):
        books["stopped"].ask()
    monkeypatch.undo()
    assert Book(study, new=False).asked == books["whole"].asked
