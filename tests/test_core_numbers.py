"""Numbers at the edge of Python and JSON."""

import json

import numpy as np
import pytest

from quantascope.core.numbers import is_number, plain


def test_json_holds_what_plain_gives() -> None:
    given = {1: np.float32(0.5), "a": (np.int64(3), np.nan, [np.inf, None]), "b": np.arange(2.0)}
    found = plain(given)
    assert found == {"1": 0.5, "a": [3, None, [None, None]], "b": [0.0, 1.0]}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, True),
        (np.float64(0.5), True),
        ("1", False),
        (True, False),
        (np.nan, False),
        (None, False),
    ],
)
def test_a_number_is_finite_and_no_text_or_truth_value(value: object, expected: bool) -> None:
    assert is_number(value) is expected
