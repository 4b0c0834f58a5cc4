"""Collects the states of a view while its aggregates are bound; equal states are kept once and shared."""

from __future__ import annotations

from tailrace.views.expression import Expression
from tailrace.views.plan import BinAgg, RegisterAgg, ScalarState

_MERGE = {
    "count": "sum",
    "sum": "sum",
    "squares": "sum",
    "squares_low": "sum",
    "squares_high": "sum",
    "min": "min",
    "max": "max",
}


class StateCollector:
    def __init__(self) -> None:
        self._scalars: dict[tuple[str, Expression | None, Expression | None, int], ScalarState] = {}
        self._bins: dict[tuple[Expression, Expression | None], BinAgg] = {}
        self._registers: dict[tuple[Expression, Expression | None], RegisterAgg] = {}

    def scalar(
        self, function: str, argument: Expression | None, filter_: Expression | None, sql_type: str, n: int = 0
    ) -> str:
        """Name of the column that holds this state."""
        key = (function, argument, filter_, n)
        if key not in self._scalars:
            name = f"s{len(self._scalars)}"
            self._scalars[key] = ScalarState(name, _MERGE[function], sql_type, function, argument, filter_, n)
        return self._scalars[key].name

    def bins(self, argument: Expression, filter_: Expression | None) -> int:
        """Index of the log buckets of `argument`."""
        return self._bins.setdefault((argument, filter_), BinAgg(len(self._bins), argument, filter_)).index

    def registers(self, argument: Expression, filter_: Expression | None) -> int:
        """Index of the HyperLogLog registers of `argument`."""
        key = (argument, filter_)
        return self._registers.setdefault(key, RegisterAgg(len(self._registers), argument, filter_)).index

    @property
    def scalars(self) -> tuple[ScalarState, ...]:
        return tuple(self._scalars.values())

    @property
    def bin_aggs(self) -> tuple[BinAgg, ...]:
        return tuple(self._bins.values())

    @property
    def register_aggs(self) -> tuple[RegisterAgg, ...]:
        return tuple(self._registers.values())
