/** A conversation from its first connection to its end: its states, and the gateway's own frames. RelayClient is what pages use of it. */

import { cancelled, RelayError } from './errors.js';
import { Link } from './link.js';
import { own } from './outbox.js';
import { listenToPage } from './page.js';
import { Progress } from './progress.js';
import { Recovery } from './recovery.js';

const LEAVE_WITHIN = 5000; // ms that a hang-up waits for the gateway's close
const TOLD_FOR = 2000; // ms in which a close is explained by the error that came before it

export class Conversation {
  state = 'connecting'; // → queued → live ⇄ resuming → ending → ended
  reason = null;
  ended = new AbortController();
  leaving = false;
  #options;
  #on; // {state(change), frame(frame, data), sent(frame), session, queued, resumed, restored, renewed, error, turns}
  #link;
  #progress;
  #recovery;
  #lastError = null; // why a close comes, if one comes now
  #toldTimer;
  #leaveTimer;

  constructor(options, on) {
    this.#options = options;
    this.#on = on;
    this.#link = new Link(options, {
      resumable: () => this.#progress.resume,
      confirming: () => {
        if (!this.#progress.resume) return false;
        this.#save(); // a later page must not ask for what was let go
        return true;
      },
      sent: on.sent,
      fresh: () => this.#startCounting(),
      message: (text) => this.#message(text),
      closed: (code) => this.#closed(code),
      failed: (error) => this.#lost(error),
      dead: () => this.#dropped('The connection does not answer.'),
    });
    this.#progress = new Progress(options, this.#link.inbox, this.#link.outbox);
    this.#recovery = new Recovery(options, this.#progress, {
      leaving: () => this.leaving,
      dial: () => this.#dial(),
      waiting: (state, error, when) => this.#become(state, error, when),
      renewed: on.renewed,
      end: (reason) => this.end(reason),
    });
  }

  get waiting() {
    return this.#link.outbox.waiting;
  }
  get session() {
    return this.#progress.session;
  }
  get queue() {
    return this.#progress.queue;
  }
  get takeover() {
    return this.#progress.takeover;
  }

  open() {
    const { signal } = this.#options;
    if (this.state === 'ended') return;
    if (signal?.aborted) return void this.end(cancelled(signal.reason));
    signal?.addEventListener('abort', () => this.leave(signal.reason), { signal: this.ended.signal });
    listenToPage(this.ended.signal, {
      offline: () => this.#link.established && this.#progress.resume && this.#dropped('This device is offline.', false),
      online: () => this.#wake(true),
      back: () => this.#wake(false),
      hidden: () => this.#link.inbox.confirm(),
      left: (forGood) => this.#left(forGood),
    });
    this.#progress.find();
    this.#dial();
  }

  send(frame, always) {
    if (this.state === 'ended') throw this.reason;
    this.#link.outbox.add(frame, always);
  }

  /** Hang up. Before there is a conversation it ends at once. */
  leave(cause) {
    if (this.state === 'ended' || this.leaving) return;
    this.leaving = true;
    if (!this.#recovery.everLive && !(this.queue && this.#link.established)) {
      this.#link.abandonUnbegun();
      return void this.end(cancelled(cause));
    }
    this.#link.outbox.add({ type: 'terminate' }, true);
    this.#leaveTimer = setTimeout(() => this.end(new RelayError(1000)), LEAVE_WITHIN);
    this.#become('ending', null);
  }

  // ---- connecting, and losing the connection ----

  #dial() {
    this.#recovery.dialling();
    this.#lastError = null;
    this.#link.dial(this.#progress.query(), !this.#progress.resume);
  }

  /** Counts begin anew; what the page said before it was live is said first. */
  #startCounting() {
    const { callType, additionalData, endpoint } = this.#options;
    this.#link.inbox.restart();
    this.#link.outbox.restart({ type: 'initialize', request: { callType, additionalData, endpoint } }, !this.#recovery.everLive);
  }

  #closed(code) {
    // A proxy may eat the code, but not what the gateway said before it.
    const told = [this.#lastError?.code, 1005, 1006].includes(code) && this.#lastError;
    this.#lost(told || new RelayError(code, { sessionId: this.session?.sessionId }), told);
  }

  /** The socket is of no use, though nobody closed it: another one takes its place. */
  #dropped(message, now = true) {
    this.#lost(new RelayError(1006, { message }), false, now);
  }

  #lost(error, told = false, now = false) {
    const established = this.#link.drop();
    if (error.code === 1000) this.end(error);
    else this.#recovery.lost(error, established, told, now);
  }

  /** The gateway does not go on with what was asked for. */
  #mismatch() {
    this.#link.abandon();
    this.#recovery.over(new RelayError(4410));
  }

  #wake(network) {
    if (this.#link.established) this.#link.heartbeat.probe();
    else this.#recovery.wake(network, this.#link.isDialling);
  }

  // ---- what arrives ----

  #message(text) {
    let frame = {};
    try {
      frame = Object(JSON.parse(text));
    } catch {
      // It counts, whatever it is.
    }
    const { inbox, outbox, heartbeat, established } = this.#link;
    heartbeat.heard();
    if (established) this.#progress.share();
    const data = frame.data ?? {};
    const kind = own(frame) ? frame.name ?? frame.type : frame.type;
    if (kind === 'relay.pong') {
      outbox.arrived(data.received ?? 0);
      return void heartbeat.answered();
    }
    if (!own(frame) && established && this.#progress.resume) inbox.count(text);
    if (!this.#progress.isNew(frame)) return undefined;
    if (kind === 'relay.takeover') this.#progress.takeover = data;
    if (kind === 'relay.handback') this.#progress.takeover = null;
    clearTimeout(this.#toldTimer);
    this.#lastError = null;
    if (data.code === 4403 && heartbeat.refused()) return undefined; // an older gateway knows no ping
    if (this.queue && !own(frame) && kind !== 'error') this.#served();
    this.#on.frame(frame, kind, data);
    switch (kind) {
      case 'relay.queued': return this.#queued(data);
      case 'relay.session': return this.#began(data);
      case 'relay.resumed': return this.#resumed(data);
      case 'relay.received': return void outbox.arrived(frame.count ?? data.count ?? 0);
      case 'relay.error': // outside the conversation's numbered frames
      case 'error': return this.#told(data);
    }
    return undefined;
  }

  #told(data) {
    const ours = data.code >= 1000;
    const error = ours ? new RelayError(data.code, data) : new RelayError(0, { name: 'agent_error', retry: 'no', message: data.message });
    if (ours) this.#lastError = error;
    this.#toldTimer = setTimeout(() => (this.#lastError = null), TOLD_FOR);
    this.#on.error(error);
  }

  #began(session) {
    if (this.#progress.resume) return this.#mismatch(); // another conversation than the one that was asked for
    this.#progress.began(session);
    this.#live();
    return this.#on.session(session);
  }

  #resumed({ replayed = 0, received = 0 }) {
    const { restored, lostAt } = this.#progress;
    const { inbox, outbox } = this.#link;
    if (restored) outbox.adopt(received);
    else if (!outbox.arrived(received)) return this.#mismatch();
    this.#progress.restored = null;
    const resent = outbox.again();
    inbox.known();
    if (restored) this.#on.restored(restored.turns ?? []);
    this.#live();
    if (restored) this.#on.session(this.session);
    return this.#on.resumed({ replayed, resent, seconds: (Date.now() - lostAt) / 1000 });
  }

  #queued({ position, of, turn }) {
    if (!this.queue || this.leaving) return;
    this.#progress.queue = { position, of };
    this.#progress.turn = turn ?? null;
    this.#on.queued(this.queue);
  }

  /** The agent speaks: the wait is over. */
  #served() {
    this.#progress.queue = this.#progress.turn = null;
    this.#link.outbox.hold(false);
    this.#recovery.everLive = true;
    if (!this.leaving) this.#become('live', null);
  }

  #live() {
    const { outbox } = this.#link;
    this.#link.establish();
    this.#recovery.live();
    outbox.hold(this.queue !== null);
    this.#become(this.queue ? 'queued' : 'live', null);
    outbox.pump();
  }

  // ---- leaving the page ----

  #left(forGood) {
    this.#link.inbox.confirm();
    if (!forGood || this.#save() || (this.#options.join && this.session?.keep)) return;
    this.leave(); // one that is gone must not keep an agent talking
    this.#link.outbox.pump(true);
  }

  #save() {
    return !this.leaving && this.#progress.save(this.#on.turns);
  }

  // ---- states ----

  #become(state, reason, more = {}) {
    if (this.leaving && state !== 'ended' && this.state === 'ending') return;
    this.state = this.leaving && state !== 'ended' ? 'ending' : state;
    this.reason = reason;
    this.#on.state({ state: this.state, reason, attempt: 0, delay: 0, ...more });
  }

  end(reason) {
    if (this.state === 'ended') return;
    this.#link.close();
    this.#recovery.stop();
    this.#progress.forget();
    this.#progress.queue = null;
    clearTimeout(this.#toldTimer);
    clearTimeout(this.#leaveTimer);
    this.ended.abort();
    this.#become('ended', reason);
  }
}
