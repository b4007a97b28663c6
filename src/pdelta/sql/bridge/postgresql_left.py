"""What can't be made for want of something that pdelta leaves as it is: whoever makes that, makes this as well.

Told by names, as the order is: a name that is mentioned without need leaves more to a person than need be.
"""

from typing import Final

from pdelta.sql.bridge.order import Work, bare, mentioned
from pdelta.sql.bridge.postgresql_state import State
from pdelta.sql.bridge.result import Refusal
from pdelta.sql.token import Dialect

_WHY: Final = "it may need what is left as it is"


def leave_what_lacks_something(state: State) -> None:
    """Leave what mentions something that is not made, and what mentions that in its turn."""
    names = {id(work): mentioned(work.needs, Dialect.POSTGRESQL) for work in state.works}
    grown = True
    while grown:
        left = [work for work in state.works if _lacks(state, names[id(work)])]
        for work in left:
            _leave(state, work)
        state.works = [work for work in state.works if work not in left]
        grown = bool(left)


def _lacks(state: State, names: set[str]) -> bool:
    return not state.lacking.isdisjoint(names) or any(
        {bare(table), bare(column)} <= names for table, column in state.lacking_columns
    )


def _leave(state: State, work: Work) -> None:
    words = list(dict.fromkeys(step.words for step in work.steps))
    sql = tuple(step.sql for step in work.steps)
    if words:
        state.refused.append(Refusal("; ".join(words), _WHY, sql))
    item = work.item
    if item is None:
        return
    if work.makes:
        state.lack(item)
    elif (item.kind, item.name) in state.found:
        state.staying.append(state.found[item.kind, item.name])
