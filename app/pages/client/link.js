/** The link to the gateway over one connection after another: dialled, written to, confirmed, watched. */

import { socketAddress } from './address.js';
import { Connection } from './connection.js';
import { credentialFor } from './credential.js';
import { badAddress, RelayError } from './errors.js';
import { Heartbeat } from './heartbeat.js';
import { Inbox } from './inbox.js';
import { Outbox } from './outbox.js';

/** The subprotocol that makes a conversation resumable. */
export const PROTOCOL = 'blackbox-relay.v1';

const ANSWER = { resumable: 4, other: 30 }; // seconds for a pong

export class Link {
  inbox = new Inbox((count) => this.#confirm(count));
  outbox;
  heartbeat;
  #connection = new Connection();
  #options;
  #on;
  #generation = 0; // of dials: an answer to an older one is ignored
  #timer; // of the dial
  #writable = false;

  /**
   * `on` has resumable(), confirming() (may what arrived be confirmed?), sent(frame), fresh() (counts begin
   * anew), message(text), closed(code), failed(error) and dead().
   */
  constructor(options, on) {
    this.#options = options;
    this.#on = on;
    this.outbox = new Outbox(options, () => (this.#writable ? this.#connection.socket : null), (frame) => {
      this.heartbeat.sent(this.outbox.unacknowledged);
      on.sent(frame);
    });
    this.heartbeat = new Heartbeat({
      quiet: options.heartbeat,
      answer: () => (on.resumable() ? ANSWER.resumable : ANSWER.other),
      buffered: () => this.#connection.socket?.bufferedAmount ?? 0,
      ping: () => this.#isOpen && this.outbox.take() && this.#connection.send('{"type":"relay.ping"}'),
      dead: on.dead,
    });
  }

  get #isOpen() {
    return this.#connection.socket?.readyState === 1;
  }
  get isDialling() {
    return this.#connection.socket !== null;
  }
  get established() {
    return this.#connection.established;
  }

  /** Dial anew; `fresh`: not to resume, so that the counts of frames begin anew. */
  async dial(query, fresh) {
    const generation = ++this.#generation;
    this.abandon();
    this.heartbeat.stop();
    this.#writable = false;
    const { url, agent, WebSocket, connectTimeout, credential } = this.#options;
    try {
      const address = socketAddress(url, agent, query);
      const given = await credentialFor(credential, !fresh, connectTimeout);
      if (generation !== this.#generation) return;
      if (fresh) this.#on.fresh();
      this.#connection.open(WebSocket, address, given ? [PROTOCOL, `bearer.${given}`] : [PROTOCOL], {
        opened: () => {
          this.#writable = fresh;
          this.outbox.pump();
        },
        message: this.#on.message,
        closed: this.#on.closed,
      });
    } catch (error) {
      if (generation === this.#generation) this.#on.failed(error instanceof RelayError ? error : badAddress(error.message, error));
      return;
    }
    this.#timer = setTimeout(() => {
      this.abandon();
      this.#on.failed(new RelayError(1006, { message: 'The server did not answer in time.' }));
    }, connectTimeout * 1000);
  }

  /** The gateway has given it a conversation. */
  establish() {
    this.#connection.establish();
    this.#writable = true;
    clearTimeout(this.#timer);
    this.heartbeat.start();
  }

  #confirm(count) {
    return this.established && this.#isOpen && this.#on.confirming() && this.#connection.send(JSON.stringify({ type: 'relay.received', count }));
  }

  /** Give the socket up, in silence. */
  abandon() {
    clearTimeout(this.#timer);
    this.#connection.abandon();
  }

  /** Nobody wants the conversation that this socket may have begun already. */
  abandonUnbegun() {
    this.#connection.abandonUnbegun();
  }

  /** The socket is of no use any more; tells whether it was established. */
  drop() {
    const { established } = this;
    this.abandon();
    this.#connection.established = this.#writable = false;
    this.#stop();
    return established;
  }

  close() {
    this.#generation += 1;
    clearTimeout(this.#timer);
    this.#connection.close();
    this.#stop();
  }

  #stop() {
    this.heartbeat.stop();
    this.outbox.pause();
    this.inbox.pause();
  }
}
