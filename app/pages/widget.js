/**
 * <blackbox-relay-chat>: chat and call with an agent, as one element. Types: widget.d.ts.
 *
 *     <script type="module" src="https://relay.example.com/widget.js"></script>
 *     <blackbox-relay-chat url="wss://relay.example.com/ws" agent="support"></blackbox-relay-chat>
 *
 * Attributes: url, agent, credential, call-types ("chat", "webCall" or both), heading, intro,
 * endpoint, autostart, keep, theme ("light", "dark"; else the reader's own), texts (JSON, see TEXTS).
 * Properties: those attributes, credential (a callback, too), additionalData, tools, iceServers,
 * options (any other of client.js), client (the RelayClient of now). They may be set before this
 * module is there. Methods: start(callType), end(), show(node).
 * Events: relay-client (detail: the RelayClient, before it connects), and the client's own state,
 * turn, call and ended.
 * Style: --relay-font-size (15px), the other variables in widget/style.js, and
 * ::part(header, log, bubble, composer, button).
 */

// Every module is named here, so that a browser asks for all of them at once and not level by level.
import './client.js';
import './client/address.js';
import './client/approvals.js';
import './client/backoff.js';
import './client/call.js';
import './client/calls.js';
import './client/connection.js';
import './client/conversation.js';
import './client/credential.js';
import './client/errors.js';
import './client/heartbeat.js';
import './client/inbox.js';
import './client/link.js';
import './client/meters.js';
import './client/microphone.js';
import './client/outbox.js';
import './client/page.js';
import './client/peer.js';
import './client/playback.js';
import './client/progress.js';
import './client/recovery.js';
import './client/relay.js';
import './client/saved.js';
import './client/schema.js';
import './client/scope.js';
import './client/shared.js';
import './client/text.js';
import './client/tools.js';
import './client/turns.js';
import './widget/approvals.js';
import './widget/call.js';
import './widget/composer.js';
import './widget/dom.js';
import './widget/events.js';
import './widget/host.js';
import './widget/keeping.js';
import './widget/messages.js';
import './widget/panel.js';
import './widget/properties.js';
import './widget/starting.js';
import './widget/style.js';
import './widget/text.js';
import { BlackboxRelayChat } from './widget/element.js';

export { BlackboxRelayChat };
export { TEXTS } from './widget/texts.js';

const NAME = 'blackbox-relay-chat';

// On a server there is no registry; in a page that loads this twice, the first definition stays.
if (globalThis.customElements && !customElements.get(NAME)) customElements.define(NAME, BlackboxRelayChat);
