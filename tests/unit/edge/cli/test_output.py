"""What commands print: columns, times, and values cut to a line."""

from __future__ import annotations

import pytest

from edge.cli import output


def test_columns_line_up_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain text without colours or lines, so that ``cut`` and ``awk`` can read it."""
    output.table(["NAME", "N"], [["a", "1"], ["longer", "22"]])

    assert "NAME    N\na       1\nlonger  22\n" == capsys.readouterr().out


def test_values_are_shown_for_people() -> None:
    """No time and no end are dashes, long values end where reading does."""
    assert ("-", "-") == (output.moment(0), output.span(0, 5))
    assert "0.250 s" == output.span(1_000, 1_250)
    assert "20" == output.moment(1_795_419_084_794)[:2]
    assert '"aaaa...' == output.short("a" * 50, 5)


@pytest.mark.parametrize("epoch_ms", [2**53, -(2**60)])
def test_a_time_that_is_none_is_shown_as_its_number(epoch_ms: int) -> None:
    """Workers name the time of a log line themselves."""
    assert str(epoch_ms) == output.moment(epoch_ms)
