from __future__ import annotations

import pytest

from app.protocol.principal import CallType, Principal
from app.tools import ToolContext
from app.tools.threads import DaemonThreads


@pytest.fixture
def ctx() -> ToolContext:
    principal = Principal("customer-7", "ticket", additional_data={"plan": "gold"})
    return ToolContext(
        session_id="s-1",
        agent="support",
        call_type=CallType.CHAT,
        principal=principal,
        additional_data={"plan": "gold"},
        call_id="call-1",
    )


@pytest.fixture
async def threads() -> DaemonThreads:
    return DaemonThreads(4)
