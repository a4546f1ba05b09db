"""Schedule expressions: what AWS accepts, and what is told about the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactctl.schedule import problem


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minute)",
        "rate(5 minutes)",
        " rate(12 hours) ",
        "rate(1 day)",
        "cron(0 10 * * ? *)",
        "cron(15 12 ? * MON-FRI 2026)",
        "cron(0/15 8-17 L 1,JUN ? *)",
        "cron(0 9 15W * ? 2026-2028)",
        "cron(0 8 ? * 6#3 *)",
        "cron(0 8 ? * friL *)",
        "cron(*/5 * ? * 2,4-6 *)",
    ],
)
def test_what_aws_accepts_is_accepted(expression: str) -> None:
    """The forms of the EventBridge documentation have no problem."""
    assert problem(expression) is None


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "expected rate(<number> minutes|hours|days) or cron(<6 fields>)"),
        ("rate(5 seconds)", "expected rate(<number> minutes|hours|days) or cron(<6 fields>)"),
        ("rate(0 minutes)", "the number must be at least 1"),
        ("rate(1 minutes)", "expected rate(1 minute)"),
        ("rate(2 hour)", "expected rate(2 hours)"),
        ("cron(0 10 * * ?)", "expected 6 fields"),
        ("cron(0 10 * * * *)", "exactly one of day-of-month and day-of-week must be ?"),
        ("cron(60 10 * * ? *)", "minutes must be in 0-59"),
        ("cron(0 24 * * ? *)", "hours must be in 0-23"),
        ("cron(0 1 32W * ? *)", "day-of-month must be in 1-31"),
        ("cron(0 1 * JAM ? *)", "month must be in 1-12 or JAN-DEC"),
        ("cron(0 1 ? * 8 *)", "day-of-week must be in 1-7 or SUN-SAT"),
        ("cron(0 1 ? * 2#6 *)", "week must be in 1-5"),
        ("cron(0 1 ? * FRI-MON *)", "the range FRI-MON of day-of-week ends before it starts"),
        ("cron(0/0 1 * * ? *)", "step of minutes must be in 1-59"),
        ("cron(0 1 * * ? 1969)", "year must be in 1970-2199"),
    ],
)
def test_what_aws_refuses_is_told_by_its_rule(expression: str, told: str) -> None:
    """The message names the part of the expression that is wrong."""
    assert (problem(expression) or "").startswith(told)


@settings(deadline=None)
@given(st.text() | st.text("0123456789 */-,#?LWMONFRI").map(lambda text: f"cron({text})"))
def test_no_text_causes_anything_but_a_rule(expression: str) -> None:
    """Any text is accepted or refused in words."""
    assert problem(expression) is None or problem(expression)
