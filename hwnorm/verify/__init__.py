"""Verification: the emitted files against the datapath, bit for bit, and against PyTorch."""

from hwnorm.verify.packages import verify_packages
from hwnorm.verify.verdict import Verdict

__all__ = ["Verdict", "verify_packages"]
