"""The vendor's emulator: scripted agents, tool calls, voice, and faults on demand.

It speaks the protocol as far as anyone outside the vendor knows it, is strict where the vendor
is strict and varied where the vendor varies. It shares no code with the gateway, so that a
misreading on one side is not repeated on the other. Guesses are marked (?) where they are made.

    python -m app.emulator              serve on port 8090 and say what there is
    Emulator(Options(...))              the same inside a test: `async with`, `url`, `call_log`

An agent is picked by `additionalData.agent`, else by call type (chat: support, webCall: voice,
onPhone: phone); the other keys of additionalData are its settings, named in its docstring.
`plain: true` turns variety off, `marker: "..."` finds the conversation again through the side
door (`app.emulator.control_api`), `pace` sets the seconds between turns.

A fault is picked by `additionalData.fault`, by its name as the agent's, by `--fault`, or by
`POST /emulator/faults {"next": name, "count": n}` for the next dials: the only way for those
that strike before initialize (refuse to missing_token). In a conversation a fault strikes
when the agent has sent `faultAfter` texts (0: right after the connection event).

    refuse              answers the handshake with HTTP `status` (403)
    redirect            answers the handshake with 307 to `/emulator/trap`, which counts followers
    hang                takes the TCP connection and never answers the handshake
    rst_on_dial         resets the TCP connection instead of answering the handshake
    not_enabled         opens, says "Web integration is not enabled", closes
    origin_not_allowed  opens, says "Origin not allowed", closes
    concurrent_limit    opens, says "Concurrent limit exceeded", closes
    invalid_token       opens, says "Invalid token", closes
    missing_token       opens, says "Missing token", closes
    drop_on_open        opens, and ends the TCP stream without a close frame: 1006
    drop_on_initialize  ends the TCP stream when initialize came: 1006
    failed_open         sends the event failedOpen with `reason`, closes
    too_large           says "Too large message", closes with 1009
    accept_silent       opens and never says a word
    stall               falls silent; pings are still answered
    freeze              neither reads nor writes for `faultSeconds` (60), as if stopped
    rst                 resets the TCP connection
    drop                ends the TCP stream without a close frame: 1006
    close               closes with `closeCode` (1011) and `closeReason`
    close_with_key      puts the credential into error text and close reason
    flood               sends `faultCount` (20,000) texts of `faultBytes` (1 KiB) at once
    oversize            sends one text of `faultBytes` (2 MiB)
    malformed_json      sends half a JSON object, and goes on
    odd_json            sends no objects, no type, doubled keys, NaN, 100,000 levels
    binary              sends a binary frame, and goes on
    bad_utf8            sends a text frame that is not UTF-8
    fragments           sends every frame in pieces of `faultBytes` (7) from then on
    endless_fragments   sends `faultCount` (100,000) empty continuations
    ping_flood          sends `faultCount` (20,000) pings at once
    no_pong             answers no ping from then on
    slow_reader         reads `faultBytes` (256) every quarter second from then on
    duplicate_tool_id   asks for a tool again under the same id
    unknown_tool        asks for the tool `no_such_tool`
    bad_args            asks for `tool` with args of four wrong shapes
    drop_after_closed   ends normally, but without a close frame: 1006
"""

from __future__ import annotations

from app.emulator.cli import main
from app.emulator.options import Options
from app.emulator.server import Emulator

__all__ = ["Emulator", "Options", "main"]
