/** The WebSocket of a conversation: the present one, and those that were given up for it. */

import { badAddress } from './errors.js';

const FAREWELL_WITHIN = 10_000; // ms

export class Connection {
  socket = null;
  established = false; // it got relay.session or relay.resumed
  #old = []; // given up without a goodbye: a close would look like leaving

  /** Open one; `on` has opened(), message(text) and closed(code). Throws a RelayError `bad_address`. */
  open(WebSocket, address, protocols, on) {
    if (typeof WebSocket !== 'function') throw badAddress('There is no WebSocket here: pass a class as the option WebSocket.');
    let ws;
    try {
      ws = new WebSocket(address, protocols);
    } catch (cause) {
      throw badAddress(`The browser refuses the address: ${cause.message}`, cause);
    }
    this.socket = ws;
    ws.onopen = on.opened;
    ws.onmessage = (event) => on.message(event.data);
    ws.onclose = ({ code }) => {
      this.socket = null;
      on.closed(code);
    };
  }

  send(text) {
    if (this.socket?.readyState !== 1) return false;
    this.socket.send(text);
    return true;
  }

  /** Give the socket up in silence: a newer one wins at the gateway. */
  abandon() {
    const ws = this.#detach();
    if (!ws) return;
    if (this.established) this.#old.push(ws);
    else ws.close();
    this.established = false;
  }

  /** Nobody wants what this socket may have begun already: end it, as soon as it is open. */
  abandonUnbegun() {
    const ws = this.#detach();
    if (!ws) return;
    const leave = () => {
      ws.send(JSON.stringify({ type: 'terminate', timestamp: new Date().toISOString() }));
      ws.close();
    };
    if (ws.readyState === 1) return void leave();
    ws.onopen = leave;
    setTimeout(() => ws.close(), FAREWELL_WITHIN);
  }

  #detach() {
    const ws = this.socket;
    if (ws) ws.onopen = ws.onmessage = ws.onclose = null;
    this.socket = null;
    return ws;
  }

  establish() {
    this.established = true;
    this.#closeOld();
  }

  close() {
    this.established = false;
    this.#detach()?.close();
    this.#closeOld();
  }

  #closeOld() {
    for (const ws of this.#old.splice(0)) ws.close();
  }
}
