"""What a script's value means to those who ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from edge.decider.scripts import is_true


@pytest.mark.parametrize("value", [True, 1, 0.5, 2**70, float("inf")])
def test_true_and_numbers_above_zero_mean_yes(value: Any) -> None:
    """A loop goes round again for these."""
    assert is_true(value) is True


@pytest.mark.parametrize(
    "value", [False, 0, -1, -0.0, float("nan"), None, "", "true", "1", [], [1], {}, {"a": True}]
)
def test_everything_else_means_no(value: Any) -> None:
    """Neither a text that says true nor a container that holds something does."""
    assert is_true(value) is False
