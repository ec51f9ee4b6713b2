/**
 * Blackbox Relay, the browser client: ES modules without dependencies or a build step.
 *
 *     import { RelayClient } from 'https://relay.example.com/client.js';
 *     const chat = await RelayClient.connect({ url: 'wss://relay.example.com/ws', credential: fetchTicket });
 *     chat.send('Where is my order?');
 *     for await (const turn of chat) console.log(turn.source, turn.text);
 *
 * A lost connection is resumed by itself, exactly. Every option and type is in client.d.ts.
 */

// Every module is named here, so that a browser asks for all of them at once and not level by level.
import './client/address.js';
import './client/approvals.js';
import './client/call.js';
import './client/calls.js';
import './client/connection.js';
import './client/conversation.js';
import './client/credential.js';
import './client/heartbeat.js';
import './client/inbox.js';
import './client/meters.js';
import './client/microphone.js';
import './client/outbox.js';
import './client/page.js';
import './client/peer.js';
import './client/playback.js';
import './client/progress.js';
import './client/recovery.js';
import './client/saved.js';
import './client/schema.js';
import './client/scope.js';
import './client/shared.js';
import './client/text.js';
import './client/tools.js';
import './client/turns.js';

export { backoff } from './client/backoff.js';
export { CallProblem, CLOSE_CODES, RelayError, ToolError } from './client/errors.js';
export { PROTOCOL } from './client/link.js';
export { RelayClient } from './client/relay.js';
