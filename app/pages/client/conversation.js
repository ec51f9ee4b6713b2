/** A conversation's connection: dialled, kept alive, resumed, ended. RelayClient is what pages use of it. */

import { socketAddress } from './address.js';
import { backoff, resumeDelay } from './backoff.js';
import { Connection } from './connection.js';
import { credentialFor } from './credential.js';
import { badAddress, cancelled, RelayError } from './errors.js';
import { Heartbeat } from './heartbeat.js';
import { Inbox } from './inbox.js';
import { Outbox, own } from './outbox.js';
import { listenToPage } from './page.js';
import { Saved } from './saved.js';
import { Shared } from './shared.js';

/** The subprotocol that makes a conversation resumable. */
export const PROTOCOL = 'blackbox-relay.v1';

const LEAVE_WITHIN = 5000; // ms that a hang-up waits for the gateway's close
const STABLE = 10_000; // ms after which a connection that is lost was a good one
const ANSWER = { resumable: 4, other: 30 }; // seconds for a pong
const OFTEN = 1000; // ms between dials that a page's events set off

export class Conversation {
  state = 'connecting'; // → queued → live ⇄ resuming → ending → ended
  reason = null;
  session = null;
  takeover = null; // {operator} while a person speaks instead of the agent
  queue = null; // {position, of} while the conversation waits for the agent to be free
  #turn = null; // keeps that position on another server
  ended = new AbortController();
  leaving = false;
  #options;
  #on; // {state(change), frame(frame, data), sent(frame), session, resumed, restored, renewed, error, turns}
  #connection = new Connection();
  #outbox;
  #heartbeat;
  #saved = null;
  #restored = null; // what an earlier page left, until it is known whether that works
  #generation = 0; // of dials: an answer to an older one is ignored
  #writable = false;
  #resume = null; // {token, window}
  #event = 0; // number of the newest event: a resume may bring some again
  #join = null; // the id of a chat that is to be joined
  #shared = null;
  #everLive = false;
  #attempts = 0;
  #liveAt = 0;
  #lostAt = 0;
  #dialledAt = 0;
  #notBefore = 0; // the gateway's own wish
  #lastError = null;
  #timers = {};
  #inbox = new Inbox((count) => this.#confirm(count));

  constructor(options, on) {
    this.#options = options;
    this.#on = on;
    this.#outbox = new Outbox(options, () => (this.#writable ? this.#connection.socket : null), (frame) => {
      this.#heartbeat.sent(this.#outbox.unacknowledged);
      on.sent(frame);
    });
    this.#heartbeat = new Heartbeat({
      quiet: options.heartbeat,
      answer: () => (this.#resume ? ANSWER.resumable : ANSWER.other),
      buffered: () => this.#connection.socket?.bufferedAmount ?? 0,
      ping: () => this.#connection.socket?.readyState === 1 && this.#outbox.take() && this.#connection.send('{"type":"relay.ping"}'),
      dead: () => this.#dropped('The connection does not answer.'),
    });
  }

  get waiting() {
    return this.#outbox.waiting;
  }

  open() {
    const { signal, keep, callType, join, shared } = this.#options;
    if (this.state === 'ended') return;
    if (signal?.aborted) return void this.end(cancelled(signal.reason));
    signal?.addEventListener('abort', () => this.leave(signal.reason), { signal: this.ended.signal });
    listenToPage(this.ended.signal, {
      offline: () => this.#connection.established && this.#resume && this.#dropped('This device is offline.', false),
      online: () => this.#wake(true),
      back: () => this.#wake(false),
      hidden: () => this.#inbox.confirm(),
      left: (forGood) => this.#left(forGood),
    });
    this.#join = join ?? null;
    if (keep && !join && callType !== 'webCall') {
      this.#saved = new Saved(this.#options);
      this.#restore(this.#saved.take());
      if (shared) this.#shared = new Shared(this.#saved.key);
      if (shared && !this.#restored) this.#join = this.#shared.find();
    }
    this.#dial();
  }

  send(frame, always) {
    if (this.state === 'ended') throw this.reason;
    this.#outbox.add(frame, always);
  }

  /** Hang up. Before there is a conversation it ends at once. */
  leave(cause) {
    if (this.state === 'ended' || this.leaving) return;
    this.leaving = true;
    if (!this.#everLive && !(this.queue && this.#connection.established)) {
      this.#connection.abandonUnbegun();
      return void this.end(cancelled(cause));
    }
    this.#outbox.add({ type: 'terminate' }, true);
    this.#timers.leave = setTimeout(() => this.end(new RelayError(1000)), LEAVE_WITHIN);
    this.#become('ending', null);
  }

  // ---- dialling ----

  async #dial() {
    const generation = ++this.#generation;
    const fresh = !this.#resume;
    this.#clear('retry', 'dial');
    this.#connection.abandon();
    this.#heartbeat.stop();
    this.#writable = false;
    this.#lastError = null;
    this.#dialledAt = Date.now();
    const { WebSocket, connectTimeout, credential } = this.#options;
    const current = () => generation === this.#generation && this.state !== 'ended';
    try {
      const address = this.#address(fresh);
      const given = await credentialFor(credential, !fresh, connectTimeout);
      if (!current()) return;
      this.#connection.open(WebSocket, address, given ? [PROTOCOL, `bearer.${given}`] : [PROTOCOL], {
        opened: () => this.#opened(fresh),
        message: (text) => this.#message(text),
        closed: (code) => this.#closed(code),
      });
    } catch (error) {
      if (current()) this.#lost(error instanceof RelayError ? error : badAddress(error.message, error));
      return;
    }
    if (fresh) this.#startCounting();
    this.#timers.dial = setTimeout(() => {
      this.#connection.abandon();
      this.#lost(new RelayError(1006, { message: 'The server did not answer in time.' }));
    }, connectTimeout * 1000);
  }

  #address(fresh) {
    const { url, agent, callType, endpoint, additionalData } = this.#options;
    // With additionalData the gateway must wait for `initialize`.
    if (fresh && this.#join) return socketAddress(url, agent, { session: this.#join });
    return socketAddress(url, agent, fresh
      ? { call_type: callType, endpoint, wish: additionalData && 1, turn: this.#turn }
      : { resume: this.#resume.token, received: this.#inbox.received, attempt: Date.now() });
  }

  #opened(fresh) {
    this.#writable = fresh;
    this.#outbox.pump();
  }

  #closed(code) {
    // A proxy may eat the code, but not what the gateway said before it.
    const told = [this.#lastError?.code, 1005, 1006].includes(code) && this.#lastError;
    this.#lost(told || new RelayError(code, { sessionId: this.session?.sessionId }), told);
  }

  /** Counts begin anew; what the page said before it was live is said first. */
  #startCounting() {
    const { callType, additionalData, endpoint } = this.#options;
    this.#inbox.restart();
    this.#outbox.restart({ type: 'initialize', request: { callType, additionalData, endpoint } }, !this.#everLive);
  }

  // ---- losing ----

  /** The socket is of no use, though nobody closed it: another one takes its place. */
  #dropped(message, now = true) {
    this.#lost(new RelayError(1006, { message }), false, now);
  }

  /** The socket is gone. Resume, connect again, begin anew, or end: decided here alone. */
  #lost(error, told = false, now = false) {
    const wasEstablished = this.#connection.established;
    this.#connection.abandon();
    this.#connection.established = this.#writable = false;
    this.#heartbeat.stop();
    this.#outbox.pause();
    this.#inbox.pause();
    this.#clear('dial');
    if (error.code === 1000) return this.end(error);
    if (wasEstablished) {
      this.#lostAt = Date.now();
      if (this.#lostAt - this.#liveAt > STABLE) this.#attempts = 0; // one that dies at once is backed off from
    }
    const broke = error.retry === 'resume' || (!told && error.code >= 1000 && error.code < 4000 && ![1007, 1009].includes(error.code));
    const again = wasEstablished ? broke : error.retry !== 'no' && error.code !== 4410;
    if (told && error.retry === 'reconnect' && this.#mayQueueAnew(error)) return this.#queueAnew(error);
    if (this.#resume && again) {
      const overdue = Date.now() - this.#lostAt > (this.#resume.window + 10) * 1000; // the gateway says it first
      return overdue ? this.#gone(new RelayError(4410, { cause: error })) : this.#later('resuming', error, now);
    }
    if (this.#join && this.#everLive && again && Date.now() - this.#lostAt < this.session.keep * 1000) return this.#later('resuming', error);
    if (!this.#everLive && again && this.#attempts + 1 < this.#options.attempts) return this.#later('connecting', error);
    return this.#gone(error);
  }

  /** A chat that the gateway keeps is joined instead, and nobody who asked to join one wants another. */
  #mayQueueAnew({ code }) {
    return this.queue && !this.leaving && !this.#options.join && !(code === 4410 && this.session?.keep && !this.#join);
  }

  /** The server goes away before the conversation has begun: another one knows the position. */
  #queueAnew(error) {
    this.#resume = this.#join = this.#restored = this.queue = null;
    this.#saved?.clear();
    this.#shared?.clear();
    if (this.#attempts + 1 < this.#options.attempts) return this.#later('connecting', error);
    return this.#gone(error);
  }

  /** It cannot be saved: begin another if the page wants that, else it has ended. */
  #gone(error) {
    this.#connection.abandon();
    this.#clear('dial');
    if (this.leaving) return this.end(new RelayError(1000));
    if (error.code === 4410 && this.session?.keep && !this.#join) {
      this.#join = this.session.sessionId; // the gateway keeps the chat open, though not this page's place in it
      this.#resume = null;
      this.#attempts = 0;
      return this.#later('resuming', error, true);
    }
    if (this.#join && !this.#options.join && error.name !== 'bad_address') {
      this.#join = null; // it is kept no longer
      this.#shared?.clear();
      if (!this.session) return this.#later('connecting', error, true);
      error = new RelayError(4410, { cause: error });
    }
    if (this.#restored && error.name !== 'bad_address') {
      this.#restored = this.#resume = this.session = this.queue = null;
      this.#attempts = 0;
      return this.#later('connecting', error, true);
    }
    if (!this.#options.renew || !this.#everLive || error.retry === 'no' || error.code === 4408) return this.end(error);
    this.#resume = null;
    this.#saved?.clear();
    this.#on.renewed();
    return this.#later('connecting', error);
  }

  #later(state, error, now = false) {
    const attempt = this.#attempts++;
    const retryAfter = error.retryAfter ?? 0;
    const options = { ...this.#options.backoff, retryAfter };
    const left = this.#resume && this.#resume.window - (Date.now() - this.#lostAt) / 1000;
    const wait = this.#resume ? resumeDelay(attempt, left, options) : backoff(attempt, options);
    const delay = now && attempt === 0 ? 0 : wait;
    this.#notBefore = Date.now() + Math.min(retryAfter, delay) * 1000;
    this.#timers.retry = setTimeout(() => this.#dial(), delay * 1000);
    this.#become(this.#restored ? 'connecting' : state, error, { attempt: attempt + 1, delay });
  }

  /** The page is looked at again, or the network is back: dial now, or see whether the line still lives. */
  #wake(network) {
    if (this.#connection.established) return this.#heartbeat.probe();
    const dialling = this.#connection.socket !== null;
    if (this.state === 'ended' || !(this.#timers.retry || (network && dialling))) return undefined;
    if (!network && Date.now() - this.#dialledAt < OFTEN) return undefined;
    if (network) this.#attempts = 0;
    this.#clear('retry');
    const delay = Math.max(Math.random() * 200, this.#notBefore - Date.now());
    this.#timers.retry = setTimeout(() => this.#dial(), delay);
    return undefined;
  }

  // ---- living ----

  #message(text) {
    let frame = {};
    try {
      frame = Object(JSON.parse(text));
    } catch {
      // It counts, whatever it is.
    }
    this.#heartbeat.heard();
    if (this.session && this.#connection.established) this.#shared?.note(this.session);
    const data = frame.data ?? {};
    const kind = own(frame) ? frame.name ?? frame.type : frame.type;
    if (kind === 'relay.pong') {
      this.#outbox.arrived(data.received ?? 0);
      return void this.#heartbeat.answered();
    }
    if (!own(frame) && this.#connection.established && this.#resume) this.#inbox.count(text);
    if (frame.number && own(frame)) {
      if (frame.number <= this.#event) return undefined;
      this.#event = frame.number;
    }
    if (kind === 'relay.takeover') this.takeover = data;
    if (kind === 'relay.handback') this.takeover = null;
    this.#clear('told');
    this.#lastError = null;
    if (data.code === 4403 && this.#heartbeat.refused()) return undefined; // an older gateway knows no ping
    if (this.queue && !own(frame) && kind !== 'error') this.#served();
    this.#on.frame(frame, kind, data);
    switch (kind) {
      case 'relay.queued': return this.#queued(data);
      case 'relay.session': return this.#began(data);
      case 'relay.resumed': return this.#resumed(data);
      case 'relay.received': return void this.#outbox.arrived(frame.count ?? data.count ?? 0);
      case 'relay.error': // outside the conversation's numbered frames
      case 'error': return this.#told(data);
    }
    return undefined;
  }

  #told(data) {
    const ours = data.code >= 1000;
    const error = ours ? new RelayError(data.code, data) : new RelayError(0, { name: 'agent_error', retry: 'no', message: data.message });
    if (ours) this.#lastError = error; // why a close comes, if one comes now
    this.#timers.told = setTimeout(() => (this.#lastError = null), 2000);
    this.#on.error(error);
  }

  #began(session) {
    if (this.#resume) return this.#gone(new RelayError(4410)); // another conversation than the one that was asked for
    this.session = session;
    this.takeover = session.takeover ?? null;
    this.#event = 0;
    this.#resume = session.resume ?? null;
    this.#join = this.#restored = null;
    this.queue = session.queued ? { position: null, of: null } : null;
    if (!this.queue) this.#turn = null;
    this.#live();
    return this.#on.session(session);
  }

  #resumed({ replayed = 0, received = 0 }) {
    const restored = this.#restored;
    if (restored) this.#outbox.adopt(received);
    else if (!this.#outbox.arrived(received)) return this.#gone(new RelayError(4410));
    this.#restored = null;
    const resent = this.#outbox.again();
    this.#inbox.known();
    if (restored) this.#on.restored(restored.turns ?? []);
    this.#live();
    if (restored) this.#on.session(this.session);
    return this.#on.resumed({ replayed, resent, seconds: (Date.now() - this.#lostAt) / 1000 });
  }

  #queued({ position, of, turn }) {
    if (!this.queue || this.leaving) return;
    this.queue = { position, of };
    this.#turn = turn ?? null;
    this.#on.queued(this.queue);
  }

  /** The agent speaks: the wait is over. */
  #served() {
    this.queue = this.#turn = null;
    this.#outbox.hold(false);
    this.#everLive = true;
    if (!this.leaving) this.#become('live', null);
  }

  #live() {
    this.#connection.establish();
    this.#writable = true;
    this.#everLive ||= !this.queue;
    this.#outbox.hold(this.queue !== null);
    this.#liveAt = Date.now();
    this.#clear('dial');
    this.#heartbeat.start();
    this.#become(this.queue ? 'queued' : 'live', null);
    this.#outbox.pump();
  }

  #confirm(count) {
    if (!this.#resume || !this.#connection.established || this.#connection.socket?.readyState !== 1) return false;
    this.#save(); // a later page must not ask for what was let go
    return this.#connection.send(JSON.stringify({ type: 'relay.received', count }));
  }

  // ---- leaving the page ----

  #left(forGood) {
    this.#inbox.confirm();
    if (!forGood || this.#save() || (this.#options.join && this.session?.keep)) return;
    this.leave(); // one that is gone must not keep an agent talking
    this.#outbox.pump(true);
  }

  #save() {
    if (!this.#saved || !(this.#resume || this.session?.keep) || this.leaving) return false;
    const snapshot = {
      session: this.session, takeover: this.takeover, event: this.#event, resume: this.#resume, received: this.#inbox.received, outbox: this.#outbox.snapshot(), queue: this.queue, turn: this.#turn,
    };
    if (this.#saved.store(snapshot, this.#on.turns)) return true;
    this.#saved = null;
    return false;
  }

  #restore(found) {
    if (!found) return;
    this.#restored = found;
    this.session = found.session;
    this.takeover = found.takeover ?? null;
    this.#event = found.event ?? 0;
    this.queue = found.queue ?? null;
    this.#turn = found.turn ?? null;
    this.#lostAt = found.at;
    if (Date.now() - found.at >= (found.resume?.window ?? 0) * 1000) return void (this.#join = found.session.sessionId);
    this.#resume = found.resume;
    this.#inbox.restart(found.received);
    this.#outbox.restore(found.outbox);
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
    this.#connection.close();
    this.#heartbeat.stop();
    this.#outbox.pause();
    this.#inbox.pause();
    this.#saved?.clear();
    this.#shared?.clear();
    this.#clear(...Object.keys(this.#timers));
    this.queue = null;
    this.ended.abort();
    this.#become('ended', reason);
  }

  #clear(...names) {
    for (const name of names) {
      clearTimeout(this.#timers[name]);
      delete this.#timers[name];
    }
  }
}
