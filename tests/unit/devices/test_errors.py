"""Tests of the errors that drivers raise."""

from __future__ import annotations

import pytest

from devices.errors import Broken, DeviceError, Refused, Unreachable, Unsafe

_KINDS = (Broken, Refused, Unreachable, Unsafe)


@pytest.mark.parametrize("kind", _KINDS)
def test_every_kind_is_a_device_error_with_advice(kind: type[DeviceError]) -> None:
    """Each kind has a code of its own and a docstring that says what to do next."""
    assert issubclass(kind, DeviceError)
    assert 1 == sum(kind.code == other.code for other in _KINDS)
    assert ";" in (kind.__doc__ or "")


def test_only_unreachable_is_worth_another_try() -> None:
    """Retrying a refusal, a fault or an open interlock would be wrong."""
    assert [Unreachable] == [kind for kind in _KINDS if kind.retryable]
