"""The report of a run folder."""

from __future__ import annotations

from pathlib import Path

from hwnorm.files import digest, write_text
from hwnorm.report.page import write_report
from hwnorm.run.folder import RunFolder
from hwnorm.version import VERSION


def report(run: RunFolder) -> Path:
    """Write ``report/*.png`` and ``report.html``; return the page's path.

    Raises:
        InputError: an artefact is damaged.
    """
    artefacts = sorted(path for path in run.path.rglob("*.json") if "packages" not in path.parts)
    made_from = digest(*artefacts, VERSION)
    page, stamp = run.path / "report.html", run.path / "report" / ".made_from"
    if not (page.is_file() and stamp.is_file() and stamp.read_text() == made_from):
        write_report(run.path)
        write_text(stamp, made_from)
    return page
