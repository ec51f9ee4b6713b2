"""What the rules decide, as values."""

from __future__ import annotations

import pytest

from app.protocol import actions
from app.protocol.close_codes import ENDED
from app.protocol.tool import Outcome, ToolCall


def test_forwarding_is_one_value_that_identity_can_tell() -> None:
    (action,) = actions.FORWARD
    assert action == actions.Forward()
    assert len(actions.NOTHING) == 0


@pytest.mark.parametrize(
    "action",
    [
        actions.Forward(),
        actions.ToUpstream(b""),
        actions.ToBrowser(b""),
        actions.RunTool(ToolCall("1", "n", None)),
        actions.AwaitBrowserTool(ToolCall("1", "n", None)),
        actions.ToolSettled(ToolCall("1", "n", None), Outcome.OK),
        actions.AwaitUpstreamClose(),
        actions.Acked(),
        actions.Count("x"),
        actions.End(ENDED),
    ],
)
def test_every_action_is_a_value_that_does_not_change(action: actions.Action) -> None:
    assert isinstance(action, actions.Action)
    with pytest.raises((AttributeError, TypeError)):
        action.anything = 1  # type: ignore[union-attr]
