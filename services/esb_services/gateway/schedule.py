"""Schedule expressions of AWS EventBridge: `rate(5 minutes)` and `cron(0 10 ? * MON-FRI *)`, in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_RATE = re.compile(r"rate\(\s*(\d+)\s+(minutes?|hours?|days?)\s*\)")
_CRON = re.compile(r"cron\((.*)\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST_YEAR = 2199


class ScheduleError(ValueError):
    """A schedule expression is not one that AWS accepts."""

    def __init__(self, expression: str, reason: str) -> None:
        super().__init__(f"schedule {expression!r}: {reason}")


class Schedule(Protocol):
    """When a function runs."""

    def next_after(self, moment: float) -> float | None:
        """Return the first run after `moment` (both Unix seconds), or None when there is none left."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Every `seconds` from the moment the schedule is loaded, first after one interval."""

    seconds: int

    def next_after(self, moment: float) -> float:
        """Return `moment` plus one interval."""
        return moment + self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """At the minutes that a cron expression, translated to croniter's form, selects."""

    expression: str

    def next_after(self, moment: float) -> float | None:
        """Return the first selected minute after `moment`, or None when the years are over."""
        from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]

        try:
            return float(croniter(self.expression, datetime.fromtimestamp(moment, UTC)).get_next(float))
        except CroniterBadDateError:
            return None


def parse_schedule(expression: str) -> Schedule:
    """Return the schedule that `expression` describes.

    Raises:
        ScheduleError: AWS would not accept the expression; the message says which part and why.
    """
    text = expression.strip()
    if match := _RATE.fullmatch(text):
        return _rate(expression, int(match[1]), match[2])
    if text.startswith("rate"):
        raise ScheduleError(expression, "expected rate(<number> minute|minutes|hour|hours|day|days)")
    if match := _CRON.fullmatch(text):
        return _cron(expression, match[1].split())
    raise ScheduleError(expression, "expected rate(…) or cron(…)")


def _rate(expression: str, value: int, unit: str) -> Rate:
    if value < 1:
        raise ScheduleError(expression, "the number must be at least 1")
    if unit.endswith("s") != (value > 1):
        correct = unit.rstrip("s") if value == 1 else f"{unit}s"
        raise ScheduleError(expression, f"{value} {unit}: write {value} {correct}")
    return Rate(value * _UNIT_SECONDS[unit.rstrip("s")])


def _cron(expression: str, fields: list[str]) -> Cron:
    if len(fields) != 6:
        raise ScheduleError(
            expression,
            f"expected 6 fields (minutes hours day-of-month month day-of-week year), found {len(fields)}",
        )
    minutes, hours, days, months, weekdays, years = (field.upper() for field in fields)
    if (days == "?") == (weekdays == "?"):
        raise ScheduleError(expression, "exactly one of day-of-month and day-of-week must be ?")
    field = _FieldReader(expression)
    translated = (
        field.plain("minutes", minutes, 0, 59),
        field.plain("hours", hours, 0, 23),
        "*" if days == "?" else field.days(days),
        field.plain("month", months, 1, 12, _MONTHS),
        "*" if weekdays == "?" else field.weekdays(weekdays),
        "0",
        # croniter knows no later year, and nobody will wait for one
        re.sub(
            r"\d{4}", lambda year: str(min(int(year[0]), 2099)), field.plain("year", years, 1970, _LAST_YEAR)
        ),
    )
    return Cron(" ".join(translated))


class _FieldReader:
    """Checks the fields of one AWS cron expression and translates them to croniter's numbering."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def plain(self, name: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> str:
        """Translate a comma list of values, ranges and steps."""
        return ",".join(self._item(name, item, low, high, names) for item in text.split(","))

    def days(self, text: str) -> str:
        """Translate day-of-month: also `L` (last day) and `15W` (weekday nearest to the 15th)."""
        if text == "L":
            return text
        if match := re.fullmatch(r"(\d+)W", text):
            return f"{self._number('day-of-month', match[1], 1, 31, ())}W"
        return self.plain("day-of-month", text, 1, 31)

    def weekdays(self, text: str) -> str:
        """Translate day-of-week, 1-7 = SUN-SAT, to 0-6: also `L` (SAT), `6L` (last FRI), `3#2` (2nd TUE)."""
        name = "day-of-week"
        if text == "L":
            return "6"
        if match := re.fullmatch(r"(\w+?)L", text):
            return f"L{self._number(name, match[1], 1, 7, _WEEKDAYS) - 1}"
        if match := re.fullmatch(r"(\w+)#(\w+)", text):
            week = self._number(name, match[2], 1, 5, ())
            return f"{self._number(name, match[1], 1, 7, _WEEKDAYS) - 1}#{week}"
        days = self.plain(name, text, 1, 7, _WEEKDAYS)
        return days if days == "*" else re.sub(r"(?<!/)\b\d+", lambda found: str(int(found[0]) - 1), days)

    def _item(self, name: str, item: str, low: int, high: int, names: tuple[str, ...]) -> str:
        base, slash, step = item.partition("/")
        first, dash, last = base.partition("-")
        if base == "*":
            translated = "*"
        elif dash:
            start, end = (self._number(name, part, low, high, names) for part in (first, last))
            if start > end:
                raise ScheduleError(self._expression, f"{name}: range {base!r} ends before it starts")
            translated = f"{start}-{end}"
        else:
            start = self._number(name, base, low, high, names)
            translated = f"{start}-{high}" if slash else str(start)
        if not slash:
            return translated
        return f"{translated}/{self._number(name, step, 1, high, ())}"

    def _number(self, name: str, text: str, low: int, high: int, names: tuple[str, ...]) -> int:
        if text in names:
            return names.index(text) + low
        if not text.isdecimal() or not low <= int(text) <= high:
            allowed = f"{low}-{high}" + (f" or {names[0]}-{names[-1]}" if names else "")
            raise ScheduleError(self._expression, f"{name}: {text!r} is not in {allowed}")
        return int(text)
