"""From settings to the bound of live upstream sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.bootstrap.vendor_parts import vendor_client
from app.cluster.commands import PlaceGiven, encode
from app.gateway.places import UpstreamPlaces
from app.state.places import PlaceBounds
from app.upstream.usage import VendorUsage

if TYPE_CHECKING:
    from app.bootstrap.outbound import Outbound
    from app.settings import Settings
    from app.state.interface import State
    from app.telemetry.metrics import Metrics


def upstream_places(
    settings: Settings, state: State, metrics: Metrics, out: Outbound
) -> UpstreamPlaces | None:
    """The places for upstream sessions; None where their number has no bound."""
    wanted = settings.upstream_concurrency
    if wanted is None:
        return None
    usage = None
    if wanted == "auto" and settings.blackbox_api_key is not None:
        base = settings.blackbox_url.replace("ws", "http", 1)
        usage = VendorUsage(base, settings.blackbox_api_key, vendor_client(settings, out))
    bounds = PlaceBounds(None if isinstance(wanted, str) else wanted, settings.queue)
    places = UpstreamPlaces(state, bounds, metrics, encode(PlaceGiven()), usage)
    metrics.queue_waiting.set_function(lambda: places.waiting)
    return places
