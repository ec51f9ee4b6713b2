"""One replica that starts: migrates the database named by its first argument, then says so."""

from __future__ import annotations

import asyncio
import sys

from pydantic import SecretStr

from app.history.database import Database
from app.history.migrate import migrate


async def main(url: str) -> None:
    database = Database(SecretStr(url))
    await migrate(database)
    await database.close()
    print("migrated")


asyncio.run(main(sys.argv[1]))
