"""The HTTP session of the OTLP exporter: whom it trusts is what OpenTelemetry and `SSL_CERT_*` say.

requests lets `REQUESTS_CA_BUNDLE` override even what its user has chosen. Proxies it still takes
from the environment.
"""

from __future__ import annotations

from typing import Any

from requests import Session


class ExporterSession(Session):
    """A session whose `verify`, once it names authorities, is the last word."""

    def merge_environment_settings(
        self,
        url: str,
        proxies: dict[str, str] | None,
        stream: bool | None,
        verify: bool | str | None,
        cert: str | tuple[str, str] | None,
    ) -> dict[str, Any]:
        """Take what the environment says, but for the authorities."""
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if isinstance(self.verify, str):
            settings["verify"] = self.verify
        return settings
