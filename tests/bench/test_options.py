from __future__ import annotations

import click
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench.options import qualities_option


@click.command()
@qualities_option((50, 90), count=2)
def shown(qualities: tuple[float, ...]) -> None:
    click.echo(repr(qualities))


@given(st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1))
def test_qualities_reach_the_command_rising_and_once_each(numbers: list[float]) -> None:
    result = CliRunner().invoke(shown, ["--qualities", ",".join(map(repr, numbers))])
    if len(set(numbers)) < 2:
        assert result.exit_code == 2
    else:
        assert result.output == f"{tuple(sorted(set(numbers)))!r}\n"


@given(st.floats().filter(lambda number: not 0 <= number <= 100))
def test_a_quality_that_no_file_has_is_refused(number: float) -> None:
    result = CliRunner().invoke(shown, ["--qualities", f"10,{number!r}"])
    assert result.exit_code == 2
    assert "is outside 0..100" in result.output
