/** A conversation through the gateway: connecting, resuming, sending, receiving. */

import { backoff } from './backoff.js';
import { Call } from './call.js';
import { CallProblem, RelayError, ToolError } from './errors.js';
import { openMicrophone } from './microphone.js';
import { misfit } from './schema.js';
import { joinPieces } from './text.js';

/** The subprotocol that makes a conversation resumable. */
export const PROTOCOL = 'blackbox-relay.v1';

const HIGH_WATER = 256 * 1024; // bytes in the socket before frames wait here instead
const CONFIRM = { frames: 16, bytes: 32 * 1024, after: 500 };
const LEAVE_WITHIN = 5000; // ms that a hang-up waits for the gateway's close
const own = (frame) => [frame.type, frame.name].some((s) => typeof s === 'string' && s.startsWith('relay.'));
const size = (text) => new TextEncoder().encode(text).length;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const noop = () => {};

/** A conversation with an agent, through the gateway. */
export class RelayClient extends EventTarget {
  /** Resolves when the conversation is live, rejects with a RelayError. */
  static connect(options) {
    return new RelayClient(options).open();
  }

  /** Ask for the microphone, connect with callType 'webCall' and take the agent's call. */
  static async call(options = {}) {
    const microphone = await openMicrophone(options.microphone);
    let chat;
    try {
      chat = await RelayClient.connect({ ...options, callType: 'webCall' });
      await chat.startCall({ ...options, microphone: microphone ?? false });
      return chat;
    } catch (problem) {
      for (const track of microphone?.getTracks() ?? []) track.stop();
      chat?.hangUp();
      throw problem;
    }
  }

  static microphone(wanted) {
    return openMicrophone(wanted);
  }

  /** Labelled once the microphone was allowed. */
  static async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    const of = (kind) => all.filter((device) => device.kind === kind);
    return { microphones: of('audioinput'), speakers: of('audiooutput') };
  }

  state = 'connecting'; // → live ⇄ resuming → ended
  reason = null; // why it resumes or has ended: a RelayError
  session = null; // {sessionId, agent, callType, resume}
  result = null;
  turns = []; // the latest 1000
  #closed;
  closed = new Promise((done) => (this.#closed = done));

  #options;
  #ws = null;
  #old = []; // given up without a goodbye: a close would look like leaving
  #generation = 0; // of dials: an answer to an older one is ignored
  #established = false; // this socket got relay.session or relay.resumed
  #writable = false;
  #resume = null; // {token, window}
  #everLive = false;
  #leaving = false;
  #attempts = 0;
  #liveAt = 0;
  #lostAt = 0;
  #lastError = null;
  #timers = {};
  #queue = []; // not written yet; {text, bytes, n}
  #kept = []; // written, not known to have arrived
  #bytes = { queue: 0, kept: 0 };
  #sent = 0; // counted frames numbered so far
  #tokens = 0; // what may be written at once without the gateway's rate limit biting
  #tokensAt = 0;
  #received = 0;
  #confirmed = 0;
  #unconfirmedBytes = 0;
  #tools = new Map();
  #answers = new Map(); // tool request id → its answer: a repeated request runs nothing twice
  #turn = null; // the turn that is being said
  #turnCount = 0;
  #call = null;
  #invite = null;
  #outside = new AbortController(); // takes our listeners off the window, and stops tools

  constructor(options = {}) {
    super();
    this.#options = {
      url: globalThis.location?.href ? new URL('/ws', location.href).href : undefined,
      attempts: 5, connectTimeout: 10, renew: false, backoff: {}, turnGap: 1, toolTimeout: 15,
      maxFrame: 64 * 1024, maxWaiting: 1024 * 1024, framesPerSecond: 15, frameBurst: 40,
      WebSocket: globalThis.WebSocket, ...options,
    };
    this.#tokens = this.#options.frameBurst;
    for (const [name, tool] of Object.entries(options.tools ?? {})) {
      if (typeof tool === 'function') this.tool(name, tool);
      else this.tool(name, tool.schema, tool.run);
    }
  }

  open() {
    return (this.#opening ??= new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
      this.#listenOutside();
      this.#dial();
    }));
  }
  #opening;
  #opened;

  /** Listen: `off = chat.on('turn', (turn) => …)`. */
  on(type, listener) {
    const handler = (event) => listener(event.detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  /** Whole turns from the start; throws the RelayError of an end that was not normal. */
  async *[Symbol.asyncIterator]() {
    let next = 0;
    for (;;) {
      const dropped = this.#turnCount - this.turns.length;
      next = Math.max(next, dropped);
      if (next < this.#turnCount) {
        yield this.turns[next++ - dropped];
      } else if (this.state === 'ended') {
        if (this.reason.code !== 1000) throw this.reason;
        return;
      } else {
        let offs;
        await new Promise((wake) => (offs = ['turn', 'ended'].map((type) => this.on(type, wake))));
        for (const off of offs) off();
      }
    }
  }

  send(text) {
    if (typeof text !== 'string') throw new TypeError('send takes a string');
    this.sendFrame({ type: 'incomingChatMessage', content: text });
  }

  /** Send any frame of the vendor's. */
  sendFrame(frame) {
    if (this.state === 'ended') throw this.reason;
    this.#enqueue(frame);
  }

  get waiting() {
    return this.#bytes.queue + (this.#ws?.bufferedAmount ?? 0);
  }

  /** Serve a browser tool: `chat.tool('show_order', schema?, async (args, context) => result)`. */
  tool(name, schema, run) {
    if (typeof schema === 'function') [schema, run] = [null, schema];
    this.#tools.set(name, { schema, run });
    return () => this.#tools.delete(name);
  }

  /** Resolves when audio is connected, rejects with a CallProblem. */
  async startCall(options = {}) {
    if (this.session && this.session.callType !== 'webCall') throw new CallProblem('not-a-call');
    if (this.#call && this.#call.state !== 'ended') return this.#call.connected;
    this.#call = new Call({ ...this.#options, ...options }, {
      changed: (state, problem) => this.#emit('call', { state, problem: problem ?? null }),
      answer: (sdpAnswer, channelId) => this.sendFrame({ type: 'sdpAnswer', channelId, data: { sdpAnswer } }),
    });
    if (this.#invite) this.#call.invited(this.#invite);
    try {
      return await this.#call.connected;
    } catch (problem) {
      this.#call?.stop();
      this.#call = null;
      throw problem;
    }
  }

  get call() {
    return this.#call;
  }
  mute() {
    this.#call?.mute(true);
  }
  unmute() {
    this.#call?.mute(false);
  }
  /** Press keys: 0-9, *, #, A-D, and a comma for a pause. */
  dtmf(keys, { duration = 120, gap = 80 } = {}) {
    const sender = this.#call?.peer?.getSenders().find((one) => one.dtmf?.canInsertDTMF);
    if (!sender) throw new CallProblem('no-dtmf');
    sender.dtmf.insertDTMF(keys, duration, gap);
  }
  async setMicrophone(microphone) {
    this.#options.microphone = microphone;
    await this.#call?.setMicrophone(microphone);
  }
  async setSpeaker(deviceId) {
    this.#options.speaker = deviceId;
    await this.#call?.audio.setSinkId?.(deviceId);
  }
  /** How loud it is, 0 to 1, for a meter. */
  levels() {
    return this.#call?.levels() ?? { microphone: 0, speaker: 0 };
  }

  /** End the conversation and its call; resolves when it has ended. */
  hangUp() {
    if (this.state !== 'ended' && !this.#leaving) {
      this.#leaving = true;
      this.#call?.stop();
      this.#enqueue({ type: 'terminate' }, true);
      const wait = this.#everLive ? LEAVE_WITHIN : 0;
      this.#timers.leave = setTimeout(() => this.#end(new RelayError(1000)), wait);
    }
    return this.closed;
  }

  // ---- connecting, losing, resuming ----

  async #dial() {
    const generation = ++this.#generation;
    const fresh = !this.#resume;
    this.#abandon();
    this.#established = this.#writable = false;
    this.#lastError = null;
    const { WebSocket, connectTimeout } = this.#options;
    const current = () => generation === this.#generation && this.state !== 'ended';
    let ws;
    try {
      const credential = await this.#credential(fresh);
      if (!current()) return;
      ws = new WebSocket(this.#url(fresh), credential ? [PROTOCOL, `bearer.${credential}`] : [PROTOCOL]);
    } catch (cause) {
      if (!current()) return;
      const [message, retry] = cause.name === 'SyntaxError'
        ? ['The address or the credential cannot be used.', 'no']
        : ['The page could not get a credential.', cause.retry ?? 'reconnect'];
      return void this.#lost(new RelayError(4401, { message, retry, cause }));
    }
    this.#ws = ws;
    if (fresh) this.#startCounting();
    ws.onopen = () => {
      this.#writable = fresh;
      this.#pump();
    };
    ws.onmessage = (event) => this.#message(event.data);
    ws.onclose = ({ code }) => {
      // A proxy may eat the code, but not what the gateway said before it.
      const told = [this.#lastError?.code, 1005, 1006].includes(code) && this.#lastError;
      this.#lost(told || new RelayError(code, { sessionId: this.session?.sessionId }), told);
    };
    this.#timers.dial = setTimeout(() => {
      this.#abandon();
      this.#lost(new RelayError(1006, { message: 'The server did not answer in time.' }));
    }, connectTimeout * 1000);
  }

  /** For a resume its token is the credential: another one is welcome, but not waited for. */
  async #credential(fresh) {
    const { credential, connectTimeout } = this.#options;
    if (typeof credential !== 'function') {
      const reusable = fresh || credential?.split('.').length === 3; // a JWT; a ticket is used up
      return reusable ? credential : null;
    }
    const asked = Promise.resolve(credential({ resume: !fresh }));
    if (!fresh) return Promise.race([asked.catch(noop), sleep(2000)]);
    return Promise.race([asked, sleep(connectTimeout * 1000).then(() => Promise.reject(new Error('time-out')))]);
  }

  #url(fresh) {
    const { url, agent, callType, endpoint, additionalData } = this.#options;
    const full = new URL(url, globalThis.location?.href);
    full.protocol = full.protocol.replace('http', 'ws');
    if (full.pathname === '/') full.pathname = '/ws';
    if (agent) full.pathname = `${full.pathname.replace(/\/$/, '')}/${encodeURIComponent(agent)}`;
    // With additionalData the gateway must wait for `initialize`.
    const query = fresh
      ? { call_type: callType, endpoint, wish: additionalData && 1 }
      : { resume: this.#resume.token, received: this.#received, attempt: Date.now() };
    for (const [key, value] of Object.entries(query)) if (value != null) full.searchParams.set(key, value);
    return full.href;
  }

  /** Counts begin anew; what the page said before it was live is said first. */
  #startCounting() {
    const waiting = this.#everLive ? [] : [...this.#kept, ...this.#queue].filter((item) => !item.initialize);
    this.#queue = [];
    this.#kept = [];
    this.#bytes = { queue: 0, kept: 0 };
    this.#sent = this.#received = this.#confirmed = 0;
    const { callType, additionalData, endpoint } = this.#options;
    this.#enqueue({ type: 'initialize', request: { callType, additionalData, endpoint } }, true);
    this.#queue[0].initialize = true;
    for (const item of waiting) this.#push({ ...item, n: item.n && ++this.#sent });
    this.#answers.clear();
  }

  /** The socket is gone. Resume, connect again, begin anew, or end: decided here alone. */
  #lost(error, told = false) {
    const wasEstablished = this.#established;
    this.#established = this.#writable = false;
    this.#ws = null;
    this.#clear('dial', 'confirm', 'pump');
    if (error.code === 1000) return this.#end(error);
    if (wasEstablished) {
      this.#lostAt = Date.now();
      if (this.#lostAt - this.#liveAt > 10_000) this.#attempts = 0; // one that dies at once is backed off from
    }
    const broke = error.retry === 'resume' || (!told && error.code < 4000 && ![1007, 1009].includes(error.code));
    const again = wasEstablished ? broke : error.retry !== 'no' && error.code !== 4410;
    if (this.#resume && again) {
      const overdue = Date.now() - this.#lostAt > (this.#resume.window + 10) * 1000; // the gateway says it first
      return overdue ? this.#gone(new RelayError(4410, { cause: error })) : this.#later('resuming', error);
    }
    if (!this.#everLive && again && this.#attempts + 1 < this.#options.attempts) return this.#later('connecting', error);
    return this.#gone(error);
  }

  /** It cannot be saved: begin another if the page wants that, else it has ended. */
  #gone(error) {
    if (this.#leaving) return this.#end(new RelayError(1000));
    const { renew } = this.#options;
    if (!renew || !this.#everLive || error.retry === 'no' || error.code === 4408) return this.#end(error);
    this.#resume = this.#invite = null;
    this.#finishTurn();
    this.#call?.stop();
    this.#call = null;
    return this.#later('connecting', error);
  }

  #later(state, error) {
    const attempt = this.#attempts++;
    const delay = backoff(attempt, { ...this.#options.backoff, retryAfter: error.retryAfter ?? 0 });
    this.#timers.retry = setTimeout(() => this.#dial(), delay * 1000);
    this.#become(state, error, { attempt: attempt + 1, delay });
  }

  /** Give the socket up in silence: a newer one wins at the gateway. */
  #abandon() {
    this.#clear('dial', 'retry');
    const ws = this.#ws;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    if (this.#established) this.#old.push(ws);
    else ws.close();
    this.#ws = null;
  }

  #live() {
    this.#established = this.#writable = this.#everLive = true;
    this.#liveAt = Date.now();
    this.#clear('dial');
    for (const ws of this.#old.splice(0)) ws.close();
    this.#become('live', null);
    this.#opened.resolve(this);
    this.#pump();
  }

  #become(state, reason, more = {}) {
    this.state = state;
    this.reason = reason;
    this.#emit('state', { state, reason, attempt: 0, delay: 0, ...more });
  }

  #end(reason) {
    if (this.state === 'ended') return;
    this.#finishTurn();
    this.#abandon();
    for (const ws of this.#old.splice(0)) ws.close();
    this.#clear(...Object.keys(this.#timers));
    this.#outside.abort();
    this.#call?.stop();
    this.#become('ended', reason);
    this.#emit('ended', reason);
    this.#opened?.reject(reason);
    this.#closed(reason);
  }

  #listenOutside() {
    const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal: this.#outside.signal });
    const page = globalThis.window;
    listen(page, 'offline', () => {
      // A browser that is offline may take minutes to notice that a socket is dead.
      if (!this.#established || !this.#resume) return;
      this.#abandon();
      this.#lost(new RelayError(1006, { message: 'This device is offline.' }));
    });
    listen(page, 'online', () => {
      if (this.state === 'live') return;
      this.#attempts = 0;
      this.#clear('retry');
      this.#timers.retry = setTimeout(() => this.#dial(), Math.random() * 200);
    });
    listen(globalThis.document, 'visibilitychange', () => document.hidden && this.#confirm());
    listen(page, 'pagehide', (event) => {
      this.#confirm();
      // One that is kept for "back" may resume; one that is gone must not keep an agent talking.
      if (!event.persisted) this.hangUp();
    });
    listen(this.#options.signal, 'abort', () => this.hangUp());
  }

  // ---- frames out ----

  #enqueue(given, always = false) {
    const frame = { timestamp: new Date().toISOString(), ...given };
    const text = JSON.stringify(frame);
    const bytes = size(text);
    const { maxFrame, maxWaiting } = this.#options;
    if (bytes > maxFrame) throw new RelayError(1009);
    if (!always && this.waiting + bytes > maxWaiting) {
      throw new RelayError(0, { name: 'outbox_full', retry: 'no', message: 'Too much is waiting to be sent.' });
    }
    this.#push({ frame, text, bytes, n: own(frame) ? 0 : ++this.#sent });
    this.#pump();
  }

  #push(item) {
    this.#queue.push(item);
    this.#bytes.queue += item.bytes;
  }

  /** Write what waits, while the socket takes it and the gateway's rate limit allows. */
  #pump() {
    const ws = this.#ws;
    const { framesPerSecond, frameBurst } = this.#options;
    this.#clear('pump');
    while (this.#queue.length && this.#writable && ws.readyState === 1) {
      const now = performance.now();
      this.#tokens = Math.min(frameBurst, this.#tokens + ((now - this.#tokensAt) / 1000) * framesPerSecond);
      this.#tokensAt = now;
      if (this.#tokens < 1 || ws.bufferedAmount > HIGH_WATER) {
        this.#timers.pump = setTimeout(() => this.#pump(), 50);
        return;
      }
      this.#tokens -= 1;
      const item = this.#queue.shift();
      this.#bytes.queue -= item.bytes;
      ws.send(item.text);
      if (item.n) this.#keep(item);
      this.#emit('sent', item.frame);
    }
  }

  /** Kept until the gateway says that it has come, within a bound. */
  #keep(item) {
    this.#kept.push(item);
    this.#bytes.kept += item.bytes;
    while (this.#bytes.kept > this.#options.maxWaiting) this.#bytes.kept -= this.#kept.shift().bytes;
  }

  /** The gateway has the first `count` frames; is the rest here without a gap? */
  #arrived(count) {
    while (this.#kept.length && this.#kept[0].n <= count) this.#bytes.kept -= this.#kept.shift().bytes;
    const next = this.#kept[0] ?? this.#queue.find((item) => item.n);
    return count <= this.#sent && (next ? next.n === count + 1 : this.#sent === count);
  }

  #sendAgain() {
    const again = this.#kept.length;
    this.#queue = [...this.#kept, ...this.#queue];
    this.#bytes = { queue: this.#bytes.queue + this.#bytes.kept, kept: 0 };
    this.#kept = [];
    return again;
  }

  // ---- frames in ----

  #message(text) {
    let frame = {};
    try {
      frame = Object(JSON.parse(text));
    } catch {
      // It counts, whatever it is.
    }
    if (!own(frame) && this.#established) this.#count(text);
    this.#clear('told');
    this.#lastError = null;
    this.#emit('frame', frame);
    const data = frame.data ?? {};
    switch (own(frame) ? frame.name ?? frame.type : frame.type) {
      case 'relay.session': return this.#began(data);
      case 'relay.resumed': return this.#resumed(data);
      case 'relay.received': return void this.#arrived(frame.count ?? data.count ?? 0);
      case 'relay.draining': return this.#emit('draining', data);
      case 'text': return this.#said(frame);
      case 'sdpInvite': return this.#invited(frame);
      case 'websocketToolRequest': return void this.#runTool(frame);
      case 'event': return this.#emit('event', { name: frame.name, data });
      case 'conversationResult':
        this.#finishTurn();
        this.result = frame.result ?? null;
        return this.#emit('result', this.result);
      case 'relay.error': // outside the conversation's numbered frames
      case 'error': {
        const ours = data.code >= 1000;
        const error = ours ? new RelayError(data.code, data) : new RelayError(0, { name: 'agent_error', retry: 'no', message: data.message });
        if (ours) this.#lastError = error; // why a close comes, if one comes now
        this.#timers.told = setTimeout(() => (this.#lastError = null), 2000);
        return this.#emit('error', error);
      }
    }
    return undefined;
  }

  #began(session) {
    if (this.#resume) {
      // Another conversation than the one that was asked for.
      this.#abandon();
      return this.#gone(new RelayError(4410));
    }
    this.session = session;
    this.#resume = session.resume ?? null;
    this.#live();
    return this.#emit('session', session);
  }

  #resumed({ replayed = 0, received = 0 }) {
    if (!this.#arrived(received)) {
      this.#abandon();
      return this.#gone(new RelayError(4410));
    }
    const resent = this.#sendAgain();
    this.#confirmed = this.#received;
    this.#live();
    return this.#emit('resumed', { replayed, resent, seconds: (Date.now() - this.#lostAt) / 1000 });
  }

  #count(text) {
    this.#received += 1;
    this.#unconfirmedBytes += text.length;
    if (!this.#resume) return;
    if (this.#received - this.#confirmed >= CONFIRM.frames || this.#unconfirmedBytes >= CONFIRM.bytes) this.#confirm();
    else this.#timers.confirm ??= setTimeout(() => this.#confirm(), CONFIRM.after);
  }

  #confirm() {
    this.#clear('confirm');
    if (!this.#established || !this.#resume || this.#received === this.#confirmed || this.#ws.readyState !== 1) return;
    this.#confirmed = this.#received;
    this.#unconfirmedBytes = 0;
    this.#ws.send(JSON.stringify({ type: 'relay.received', count: this.#received }));
  }

  /** No frame marks a turn's end: another speaker, a result or silence does. */
  #said(frame) {
    const content = typeof frame.content === 'string' ? { text: frame.content } : frame.content ?? {};
    const { source = 'assistant', text = '' } = content;
    if (this.#turn && this.#turn.source !== source) this.#finishTurn();
    this.#turn ??= { id: this.#turnCount + 1, source, text: '', pieces: [], startedAt: Date.now(), endedAt: null };
    const turn = this.#turn;
    turn.pieces.push(text);
    turn.text = joinPieces(turn.pieces);
    this.#emit('text', { source, text, turn, frame });
    this.#clear('turn');
    if (source === 'user') this.#finishTurn();
    else this.#timers.turn = setTimeout(() => this.#finishTurn(), this.#options.turnGap * 1000);
  }

  #finishTurn() {
    this.#clear('turn');
    const turn = this.#turn;
    if (!turn) return;
    this.#turn = null;
    turn.endedAt = Date.now();
    this.#turnCount += 1;
    if (this.turns.push(turn) > 1000) this.turns.shift();
    this.#emit('turn', turn);
  }

  #invited(frame) {
    this.#invite = frame;
    this.#emit('invite', frame);
    this.#call?.invited(frame);
  }

  // ---- browser tools ----

  async #runTool(frame) {
    const { id, toolName: name, args = {} } = frame.content ?? {};
    const tool = this.#tools.get(name);
    if (!tool) return;
    const generation = this.session;
    if (!this.#answers.has(id)) {
      this.#answers.set(id, this.#answer(tool, { id, name, args }));
      if (this.#answers.size > 200) this.#answers.delete(this.#answers.keys().next().value);
    }
    const result = await this.#answers.get(id);
    if (this.state === 'ended' || generation !== this.session) return;
    const respond = (content) => this.sendFrame({ type: 'websocketToolResponse', channelId: frame.channelId ?? null, content });
    try {
      respond({ id, result });
    } catch {
      respond({ id, result: failure('result_too_large', 'The answer is too large to be sent.') });
    }
  }

  async #answer({ schema, run }, { id, name, args }) {
    const started = Date.now();
    this.#emit('tool', { id, name, args, phase: 'called' });
    const ended = new AbortController();
    const stop = () => ended.abort();
    this.#outside.signal.addEventListener('abort', stop);
    let result;
    const limit = setTimeout(stop, this.#options.toolTimeout * 1000);
    try {
      const fault = schema && misfit(args, schema);
      if (fault) throw new ToolError('invalid_arguments', fault);
      const late = new Promise((_, reject) => {
        ended.signal.addEventListener('abort', () => reject(new ToolError('timeout', 'That took too long.')));
      });
      const value = await Promise.race([run(args, { id, name, signal: ended.signal, chat: this }), late]);
      result = JSON.parse(JSON.stringify(value ?? null));
    } catch (error) {
      result = error instanceof ToolError
        ? failure(error.code, error.message)
        : failure('tool_failed', 'This could not be done in the browser just now.');
      if (!(error instanceof ToolError)) console.error(`browser tool ${name} failed`, error);
    } finally {
      clearTimeout(limit);
      this.#outside.signal.removeEventListener('abort', stop);
    }
    this.#emit('tool', { id, name, args, phase: result?.error ? 'failed' : 'answered', result, ms: Date.now() - started });
    return result;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #clear(...names) {
    for (const name of names) {
      clearTimeout(this.#timers[name]);
      delete this.#timers[name];
    }
  }
}

const failure = (code, message) => ({ error: { code, message } });
