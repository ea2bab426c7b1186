"""The table of DAGs by name; `registry` fills it, a Dag takes itself out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dag import Dag

#: (where a name is one and the same, name) → DAG; the newest last
DAGS: dict[tuple[str, str], Dag] = {}


def forget(dag: Dag) -> None:
    """No name leads to this DAG any more."""
    for key in [key for key, found in DAGS.items() if found is dag]:
        del DAGS[key]
