"""Numbers for people are never told as a mark that they are not."""

from __future__ import annotations

import math

import pytest

from hwnorm.datapath.ir import Certificate
from hwnorm.emit.stage import _error
from hwnorm.rounding import percent_text, ulp_text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (0.9999964, "0.999996"),
        (0.99, "0.990"),
        (1.0, "1.000"),
        (1.0000001, "1.0000001"),
        (0.4999999, "0.4999999"),
        (0.5, "0.500"),
        (0.0, "0.000"),
        (1e-5, "0.00001"),
        (math.inf, "inf"),
    ],
)
def test_errors(error, text):
    assert ulp_text(error) == text


@pytest.mark.parametrize(
    ("percent", "text"),
    [(100.0, "100.00 %"), (99.998, "99.998 %"), (0.0, "0.00 %"), (0.002, "0.002 %"), (91.847, "91.85 %")],
)
def test_shares(percent, text):
    assert percent_text(percent) == text


@pytest.mark.parametrize(
    ("error", "told"), [(0.9999964, 0.999997), (0.99181, 0.9919), (1.0, 1.0), (0.49999, 0.49999), (0.0, 0.0)]
)
def test_a_headers_largest_error_is_rounded_up_but_not_to_a_mark(error, told):
    assert _error(Certificate(error, 0.1, 3, 256))["largest"] == told
