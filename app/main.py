"""The ASGI application, for any server: `uvicorn --factory app.main:create_app`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from app.bootstrap.application import build
from app.settings import load

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; without `settings`, from the environment (`RELAY_*`).

    `app.bootstrap.application.build` also gives what the bundled server uses. Raises
    `ConfigurationError`, with every fault of the environment.
    """
    return build(load(os.environ) if settings is None else settings).app
