"""Pictures of a run, and one self-contained HTML page that holds them."""

from hwnorm.report.page import write_report

__all__ = ["write_report"]
