"""The life of a session as a table."""

from __future__ import annotations

from itertools import product

import pytest

from app.protocol.errors import IllegalTransition
from app.protocol.phases import TRANSITIONS, Event, Phase, advance


@pytest.mark.parametrize(("phase", "event"), list(product(Phase, Event)))
def test_the_table_alone_says_what_is_legal(phase: Phase, event: Event) -> None:
    if (phase, event) in TRANSITIONS:
        assert advance(phase, event) is TRANSITIONS[phase, event]
    else:
        with pytest.raises(IllegalTransition, match=f"{event} in phase {phase}"):
            advance(phase, event)


def test_every_phase_but_the_last_can_be_closed() -> None:
    for phase in set(Phase) - {Phase.CLOSED}:
        assert advance(phase, Event.CLOSED) is Phase.CLOSED


def test_nothing_leads_out_of_the_last() -> None:
    assert not [phase for phase, _ in TRANSITIONS if phase is Phase.CLOSED]


def test_nothing_leads_back() -> None:
    order = list(Phase)
    for (phase, _), following in TRANSITIONS.items():
        assert order.index(following) >= order.index(phase)
