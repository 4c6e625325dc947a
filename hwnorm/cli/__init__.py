"""The command line: it reads options, calls a stage, and turns what is wrong into one line."""

from hwnorm.cli import doctor, examples, hardware, sweeps
from hwnorm.cli.app import app

hardware.add_to(app)
sweeps.add_to(app)
doctor.add_to(app)
examples.add_to(app)


def main() -> None:
    """Entry point of the command ``hwnorm``."""
    app()
