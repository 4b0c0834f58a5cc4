"""Which fields of a record a view looks at, so that its readers need not carry the rest."""

from __future__ import annotations

from tailrace.model.fields import EXTRA
from tailrace.views.expression import Column, inputs
from tailrace.views.plan import CompiledView


def fields_read(view: CompiledView) -> dict[str, str]:
    """Column of a record -> SQL type, of all that the view's partial statements read besides `timestamp`; `extra` may be one."""
    roots = [view.where, *(k.expression for k in view.keys)]
    roots += [root for s in view.scalars for root in (s.argument, s.filter)]
    roots += [root for b in view.bin_aggs for root in (b.argument, b.filter)]
    roots += [root for r in view.register_aggs for root in (r.argument, r.filter)]
    read = (field for root in roots if root is not None for field in inputs(root))
    return dict((c.name, c.type.sql) if isinstance(c, Column) else (EXTRA, "VARCHAR") for c in read)
