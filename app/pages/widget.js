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

import { BlackboxRelayChat } from './widget/element.js';

export { BlackboxRelayChat };
export { TEXTS } from './widget/texts.js';

const NAME = 'blackbox-relay-chat';

// On a server there is no registry; in a page that loads this twice, the first definition stays.
if (globalThis.customElements && !customElements.get(NAME)) customElements.define(NAME, BlackboxRelayChat);
