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

export { backoff } from './client/backoff.js';
export { CallProblem, CLOSE_CODES, RelayError, ToolError } from './client/errors.js';
export { PROTOCOL } from './client/conversation.js';
export { RelayClient } from './client/relay.js';
