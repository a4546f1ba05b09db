"""Schedule expressions of AWS EventBridge: what is wrong with one, before a gateway has to refuse it."""

import re
from collections.abc import Sequence

_RATE = re.compile(r"rate\(\s*([0-9]{1,9})\s+(minute|hour|day)(s?)\s*\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FORMS = "expected rate(<number> minutes|hours|days) or cron(<6 fields>)"


def problem(expression: str) -> str | None:
    """Return the rule that `expression` breaks, or None if AWS accepts it.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
    """
    text = expression.strip()
    if (rate := _RATE.fullmatch(text)) is not None:
        return _rate_problem(int(rate[1]), rate[2], plural=bool(rate[3]))
    if (cron := _CRON.fullmatch(text)) is not None:
        return _cron_problem(cron[1].upper().split())
    return _FORMS


def _rate_problem(number: int, unit: str, *, plural: bool) -> str | None:
    if number < 1:
        return "the number must be at least 1"
    if plural != (number > 1):
        return f"expected rate({number} {unit}{'s' if number > 1 else ''})"
    return None


def _cron_problem(fields: Sequence[str]) -> str | None:
    if len(fields) != 6:
        return f"expected 6 fields (minutes hours day-of-month month day-of-week year), found {len(fields)}"
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        return "exactly one of day-of-month and day-of-week must be ?"
    return (
        _list_problem("minutes", minutes, 0, 59)
        or _list_problem("hours", hours, 0, 23)
        or _days_problem(days)
        or _list_problem("month", months, 1, 12, _MONTHS)
        or _weekdays_problem(weekdays)
        or _list_problem("year", years, 1970, 2199)
    )


def _days_problem(text: str) -> str | None:
    if text in ("?", "L"):
        return None
    return _list_problem("day-of-month", text.removesuffix("W") if text[:-1].isdecimal() else text, 1, 31)


def _weekdays_problem(text: str) -> str | None:
    if text in ("?", "L"):
        return None
    day, hash_sign, week = text.partition("#")
    if hash_sign:
        return _number_problem("day-of-week", day, 1, 7, _WEEKDAYS) or _number_problem("week", week, 1, 5)
    if text.endswith("L"):
        return _number_problem("day-of-week", text[:-1], 1, 7, _WEEKDAYS)
    return _list_problem("day-of-week", text, 1, 7, _WEEKDAYS)


def _list_problem(name: str, text: str, low: int, high: int, names: Sequence[str] = ()) -> str | None:
    problems = (_item_problem(name, item, low, high, names) for item in text.split(","))
    return next((found for found in problems if found is not None), None)


def _item_problem(name: str, item: str, low: int, high: int, names: Sequence[str]) -> str | None:
    base, slash, step = item.partition("/")
    if slash and (found := _number_problem(f"step of {name}", step, 1, high)) is not None:
        return found
    if base == "*":
        return None
    first, dash, last = base.partition("-")
    for number in (first, last) if dash else (first,):
        if (found := _number_problem(name, number, low, high, names)) is not None:
            return found
    if dash and _number(first, low, names) > _number(last, low, names):
        return f"the range {base} of {name} ends before it starts"
    return None


def _number_problem(name: str, text: str, low: int, high: int, names: Sequence[str] = ()) -> str | None:
    if text in names or (re.fullmatch("[0-9]{1,4}", text) and low <= int(text) <= high):
        return None
    return f"{name} must be in {low}-{high}" + (f" or {names[0]}-{names[-1]}" if names else "")


def _number(text: str, low: int, names: Sequence[str]) -> int:
    return names.index(text) + low if text in names else int(text)
