"""Which of several components that deviate is to blame: the earliest that no other one explains. Pure."""

from collections.abc import Collection, Mapping

from esb_e2e_plugin.diagnosis.observed import Deviation, Observed, Way

_CLOCK_SLACK = 1.0  # a health check that fails at the same moment may have begun before


def first_cause(reported: str, observed: Observed) -> Deviation | None:
    """Return the deviation that explains what was reported, which may be the reported one; None for none.

    One is explained by another that it needs, directly or not, and that deviated no later.

    Args:
        reported: the component whose failure was noticed.
        observed: how all of them are.
    """
    needed = needed_by(reported, observed.needs)
    failing = [one for one in observed.deviations if one.way is not Way.ENDED_WELL]
    for one in failing:
        needed |= needed_by(one.component, observed.needs)
    suspects = [one for one in observed.deviations if one in failing or one.component in needed]
    roots = [one for one in suspects if not _explained(one, suspects, observed.needs)]
    return min(roots, key=lambda one: (one.at, one.component), default=None)


def furthest_up(names: Collection[str], needs: Mapping[str, frozenset[str]]) -> str:
    """Return the first of `names` that needs none of the others; in a circle just the first.

    Args:
        names: at least one.
        needs: what each component needs directly.
    """
    ordered = sorted(names)
    others = set(names)
    return next((name for name in ordered if not needed_by(name, needs) & (others - {name})), ordered[0])


def needed_by(name: str, needs: Mapping[str, frozenset[str]]) -> set[str]:
    """Return everything that a component needs, directly or not."""
    found: set[str] = set()
    todo = list(needs.get(name, ()))
    while todo:
        if (one := todo.pop()) not in found:
            found.add(one)
            todo += needs.get(one, ())
    return found


def _explained(one: Deviation, suspects: list[Deviation], needs: Mapping[str, frozenset[str]]) -> bool:
    upstream = needed_by(one.component, needs) - {one.component}
    return any(
        other.component in upstream and other.at <= one.at + _CLOCK_SLACK
        for other in suspects
        if one.component not in needed_by(other.component, needs)  # a circle explains nothing
    )
