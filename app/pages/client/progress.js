/** How far a conversation has come, and what going on with it takes: on another connection, a later page or another tab. */

import { own } from './outbox.js';
import { Saved } from './saved.js';
import { Shared } from './shared.js';

export class Progress {
  session = null;
  takeover = null; // {operator} while a person speaks instead of the agent
  queue = null; // {position, of} while the conversation waits for the agent to be free
  turn = null; // keeps that position on another server
  resume = null; // {token, window}
  join = null; // the id of a chat that is to be joined
  restored = null; // what an earlier page left, until it is known whether that works
  lostAt = 0;
  #event = 0; // number of the newest event: a resume may bring some again
  #options;
  #inbox;
  #outbox;
  #saved = null;
  #shared = null;

  constructor(options, inbox, outbox) {
    this.#options = options;
    this.#inbox = inbox;
    this.#outbox = outbox;
  }

  /** Look for a conversation that was left by an earlier page, or that another tab has. */
  find() {
    const { keep, callType, join, shared } = this.#options;
    this.join = join ?? null;
    if (!keep || join || callType === 'webCall') return;
    this.#saved = new Saved(this.#options);
    this.#restore(this.#saved.take());
    if (shared) this.#shared = new Shared(this.#saved.key);
    if (shared && !this.restored) this.join = this.#shared.find();
  }

  /** What the address of the next connection asks for. */
  query() {
    const { callType, endpoint, additionalData } = this.#options;
    if (this.resume) return { resume: this.resume.token, received: this.#inbox.received, attempt: Date.now() };
    if (this.join) return { session: this.join };
    // With additionalData the gateway must wait for `initialize`.
    return { call_type: callType, endpoint, wish: additionalData && 1, turn: this.turn };
  }

  /** The gateway has begun a conversation, or let this page join one. */
  began(session) {
    this.session = session;
    this.takeover = session.takeover ?? null;
    this.#event = 0;
    this.resume = session.resume ?? null;
    this.join = this.restored = null;
    this.queue = session.queued ? { position: null, of: null } : null;
    if (!this.queue) this.turn = null;
  }

  /** Tells whether an event is new; all other frames are. */
  isNew(frame) {
    if (!frame.number || !own(frame)) return true;
    if (frame.number <= this.#event) return false;
    this.#event = frame.number;
    return true;
  }

  /** Other tabs may join it from now on. */
  share() {
    if (this.session) this.#shared?.note(this.session);
  }

  /** Leave it to a later page; tells whether that can go on with it. */
  save(turns) {
    if (!this.#saved || !(this.resume || this.session?.keep)) return false;
    const { session, takeover, resume, queue, turn } = this;
    const snapshot = { session, takeover, event: this.#event, resume, received: this.#inbox.received, outbox: this.#outbox.snapshot(), queue, turn };
    if (this.#saved.store(snapshot, turns)) return true;
    this.#saved = null;
    return false;
  }

  #restore(found) {
    if (!found) return;
    this.restored = found;
    this.session = found.session;
    this.takeover = found.takeover ?? null;
    this.#event = found.event ?? 0;
    this.queue = found.queue ?? null;
    this.turn = found.turn ?? null;
    this.lostAt = found.at;
    if (Date.now() - found.at >= (found.resume?.window ?? 0) * 1000) return void (this.join = found.session.sessionId);
    this.resume = found.resume;
    this.#inbox.restart(found.received);
    this.#outbox.restore(found.outbox);
  }

  /** No later page finds it any more. */
  unsave() {
    this.#saved?.clear();
  }

  /** No other tab finds it any more. */
  unshare() {
    this.#shared?.clear();
  }

  forget() {
    this.unsave();
    this.unshare();
  }
}
