/**
 * Blackbox Relay, the browser client: one ES module, no dependencies, no build step.
 *
 *     import { RelayClient } from 'https://relay.example.com/client.js';
 *     const chat = await RelayClient.connect({ url: 'wss://relay.example.com/ws', credential: fetchTicket });
 *     chat.send('Where is my order?');
 *     for await (const turn of chat) console.log(turn.source, turn.text);
 *
 * A lost connection is resumed by itself, exactly. Every option and type is in client.d.ts.
 */

/** The subprotocol that makes a conversation resumable. */
export const PROTOCOL = 'blackbox-relay.v1';

const row = (name, message, retry = 'no') => Object.freeze({ name, message, retry });

/** Every close code, its name, what a page may say, and whether to try again. */
export const CLOSE_CODES = Object.freeze({
  1000: row('ended', 'The conversation has ended.'),
  1001: row('draining', 'This server is being replaced. Please reconnect.', 'reconnect'),
  1006: row('connection_lost', 'The connection was lost.', 'resume'),
  1007: row('not_utf8', 'A message was not valid UTF-8.'),
  1009: row('frame_too_large', 'A message was too large.'),
  1011: row('internal_error', 'Something went wrong on our side.', 'reconnect'),
  4400: row('bad_frames', 'Too many messages could not be read.'),
  4401: row('unauthenticated', 'The credential is missing, invalid, expired or used.'),
  4403: row('forbidden', 'This is not allowed here.'),
  4404: row('no_such_agent', 'There is no such agent.'),
  4408: row('idle', 'Nothing was said for too long.', 'reconnect'),
  4409: row('resumed_elsewhere', 'The conversation goes on in another window.'),
  4410: row('cannot_resume', 'The conversation cannot be resumed. Please start anew.', 'reconnect'),
  4429: row('too_many', 'Too many messages or conversations.', 'reconnect'),
  4440: row('max_duration', 'The conversation has reached its longest duration.'),
  4502: row('upstream_failed', 'The agent could not be reached.', 'reconnect'),
  4503: row('overloaded', 'The service is busy. Please try again soon.', 'reconnect'),
  4504: row('upstream_timeout', 'The agent did not answer in time.', 'reconnect'),
  4508: row('too_slow', 'Messages are read too slowly.', 'resume'),
});

/** Why something was refused or ended; `name` is the close code's name, `message` may be shown. */
export class RelayError extends Error {
  constructor(code, { name, message, retry, retryAfter, sessionId, cause } = {}) {
    const known = CLOSE_CODES[code] ?? CLOSE_CODES[1006];
    super(message || known.message, { cause });
    this.code = code;
    this.name = name ?? known.name;
    this.retry = retry ?? known.retry;
    this.retryAfter = retryAfter ?? null;
    this.sessionId = sessionId ?? null;
  }
}

const PROBLEMS = {
  'not-a-call': ['This conversation is a chat.', "Connect with callType 'webCall'."],
  'no-microphone': ['There is no microphone.', 'Plug one in, or choose another one.'],
  'no-offer': ['The agent offered no call.', 'Check that it takes calls from browsers.'],
  'bad-offer': ["The agent's offer cannot be used.", 'Tell whoever runs the agent.'],
  'no-candidates': ['This browser has no network address for calls.', 'Check what blocks WebRTC: network, extension or policy.'],
  'host-only': ['The agent cannot be reached from this network.', 'Pass STUN or TURN servers as iceServers; if they are there, a firewall blocks UDP.'],
  'relay-blocked': ['The TURN relay cannot be reached.', 'Check its address and credential; offer it by TLS on port 443 too.'],
  'no-answer': ['The agent does not answer on the network.', 'Try again; if it stays so, a firewall before the agent is closed.'],
  'dtls-failed': ['The audio could not be encrypted.', "Check that nothing changes the agent's offer on its way."],
  'connection-lost': ["The call's audio was lost.", 'Check the network, and call again.'],
  'no-dtmf': ['This call takes no key tones.', 'The agent must offer telephone-event.'],
};

/** Why a call did not connect: `kind` for code, `message` for people, `advice` on what to do. */
export class CallProblem extends Error {
  constructor(kind, { message, advice, cause } = {}) {
    super(message ?? PROBLEMS[kind][0], { cause });
    this.name = 'CallProblem';
    this.kind = kind;
    this.advice = advice ?? PROBLEMS[kind][1];
  }
}

/** Thrown by a browser tool: a sentence that the agent can speak. */
export class ToolError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'ToolError';
    this.code = code;
  }
}

/** Seconds before attempt `n`: 1 doubling to 30, half of it jitter, never before `retryAfter`. */
export function backoff(n, { first = 1, most = 30, retryAfter = 0, random = Math.random } = {}) {
  const ceiling = Math.min(most, first * 2 ** n);
  return Math.max(ceiling / 2, retryAfter) + (random() * Math.max(ceiling, retryAfter / 2)) / 2;
}

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
    const { id, toolName: name, args: given } = frame.content ?? {};
    const tool = this.#tools.get(name);
    if (!tool) return;
    const args = argumentsOf(given, tool.schema);
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

/** One text of pieces that may or may not bring their own spaces. */
function joinPieces(pieces) {
  const spaced = pieces.some((piece) => /^\s|\s$/.test(piece));
  const apart = (text, piece) => (spaced ? /[.!?…]$/.test(text) && /^\p{L}/u.test(piece) : text && !/^[,.;:!?)]/.test(piece));
  return pieces.reduce((text, piece) => text + (apart(text, piece) ? ' ' : '') + piece);
}

/**
 * A tool's arguments as its schema means them, as the gateway reads those of other tools: models also
 * give one JSON string, or nothing, and null for what is optional and cannot be null.
 */
function argumentsOf(given, schema) {
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
  let args = given ?? {};
  if (typeof args === 'string' && schema?.type !== 'string') {
    try {
      const parsed = args.trim() ? JSON.parse(args) ?? {} : {};
      if (isObject(parsed)) args = parsed;
    } catch {
      // No JSON: the schema or the tool says what is wrong with it.
    }
  }
  if (!isObject(args)) return args;
  const leftOut = ([key, value]) => {
    const rule = schema?.properties?.[key];
    return value === null && !schema.required?.includes(key) && isObject(rule)
      && (rule.type || rule.enum) && ![].concat(rule.type ?? []).includes('null') && !rule.enum?.includes(null);
  };
  return Object.fromEntries(Object.entries(args).filter((entry) => !leftOut(entry)));
}

/** What is wrong with a tool's arguments (type, required, enum), or null. */
function misfit(args, schema) {
  const missing = (schema.required ?? []).filter((key) => args?.[key] === undefined);
  if (missing.length) return `Missing: ${missing.join(', ')}.`;
  for (const [key, rule] of Object.entries(schema.properties ?? {})) {
    const value = args?.[key];
    if (value === undefined) continue;
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    const fits = (wanted) => wanted === type || (wanted === 'integer' && Number.isInteger(value));
    if (rule.type && ![].concat(rule.type).some(fits)) return `${key} must be of type ${[].concat(rule.type).join(' or ')}.`;
    if (rule.enum && !rule.enum.includes(value)) return `${key} must be one of ${rule.enum.join(', ')}.`;
  }
  return null;
}

// ---- the call's media ----

async function openMicrophone(wanted) {
  if (wanted === false || (globalThis.MediaStream && wanted instanceof MediaStream)) return wanted || null;
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
    const audio = typeof wanted === 'string' ? { deviceId: { exact: wanted } } : wanted ?? true;
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (cause) {
    throw new CallProblem('no-microphone', { cause, ...MICROPHONE[cause.name] });
  }
}

const MICROPHONE = {
  NotAllowedError: { message: 'The microphone is not allowed on this page.', advice: 'Allow it in the address bar, and call again.' },
  NotReadableError: { message: 'The microphone is in use.', advice: 'Close what uses it, or choose another one.' },
  SecurityError: { message: 'This page may not use the microphone.', advice: 'Serve it over HTTPS.' },
};

/** One call: the peer connection, its microphone and its speaker. */
class Call {
  state = 'starting'; // → connecting → connected ⇄ interrupted → ended
  muted = false;
  peer = null;
  stream = null; // what the agent says
  audio = new Audio(); // WebAudio hears a remote stream only while an element plays it
  #options;
  #tell;
  #microphone = null;
  #ready; // the microphone is open, and offers so far are answered
  #offered = false;
  #context = null;
  #meters = {};
  #found = new Set(); // types of our candidates
  #timers = [];
  #settle;

  constructor(options, tell) {
    this.#options = { iceServers: [], gatherTimeout: 3, inviteTimeout: 20, callTimeout: 15, ...options };
    this.#tell = tell;
    this.connected = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.connected.catch(noop);
    this.audio.autoplay = true;
    this.#ready = openMicrophone(this.#options.microphone).then((stream) => {
      if (this.state === 'ended') stream?.getTracks().forEach((track) => track.stop());
      this.#microphone = stream;
      this.#listen('microphone', stream);
      this.#after(this.#options.inviteTimeout, () => this.#offered || this.#fail(new CallProblem('no-offer')));
    });
    this.#ready.catch((problem) => this.#fail(problem));
  }

  invited(frame) {
    this.#offered = true;
    this.#ready = this.#ready.then(() => this.#answer(frame)).catch((problem) => {
      if (this.state === 'connected') return; // a second offer that is no good changes nothing
      this.#fail(problem instanceof CallProblem ? problem : new CallProblem('bad-offer', { cause: problem }));
    });
  }

  /** There is no trickle: gather, then answer. The offer comes in either of two shapes. */
  async #answer({ data = {}, channelId = null }) {
    if (this.state === 'ended') return;
    const peer = this.#peer();
    await accept(peer, data.invite ?? data.sdpOffer ?? '');
    const [track] = this.#microphone?.getAudioTracks() ?? [];
    const [transceiver] = peer.getTransceivers();
    if (track && transceiver) {
      transceiver.direction = 'sendrecv';
      await transceiver.sender.replaceTrack(track);
    }
    await peer.setLocalDescription(await peer.createAnswer());
    await this.#gathered();
    if (!this.#found.size) throw new CallProblem('no-candidates');
    this.#tell.answer(peer.localDescription.sdp, channelId);
    if (this.state === 'starting') this.#become('connecting');
    this.#after(this.#options.callTimeout, () => this.state === 'connecting' && this.#fail(this.#diagnosis()));
  }

  #peer() {
    if (this.peer) return this.peer;
    const peer = (this.peer = new RTCPeerConnection({ iceServers: this.#options.iceServers }));
    peer.onicecandidate = ({ candidate }) => candidate?.candidate && this.#found.add(candidate.type);
    peer.ontrack = ({ track, streams }) => {
      this.stream = streams[0] ?? new MediaStream([track]);
      this.#play();
      this.#listen('speaker', this.stream);
    };
    peer.onconnectionstatechange = () => {
      const { connectionState: now } = peer;
      if (now === 'connected') {
        this.#become('connected');
        this.#settle.resolve(this);
      } else if (now === 'disconnected' && this.state === 'connected') {
        this.#become('interrupted');
      } else if (now === 'failed') {
        this.#fail(this.state === 'connecting' ? this.#diagnosis() : new CallProblem('connection-lost'));
      }
    };
    return peer;
  }

  async #gathered() {
    const { peer } = this;
    if (peer.iceGatheringState === 'complete') return;
    await new Promise((done) => {
      peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && done());
      this.#after(this.#options.gatherTimeout, done);
    });
  }

  /** How this call failed, without any address, so that it may be logged. */
  #diagnosis() {
    const { peer } = this;
    const urls = this.#options.iceServers.flatMap((server) => server.urls);
    const dtls = peer.getSenders()[0]?.transport?.state;
    const theirs = [...(peer.remoteDescription?.sdp ?? '').matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+)/gm)].map((match) => match[1]);
    const near = theirs.every((address) => /^(10|127|192\.168|172\.(1[6-9]|2\d|3[01]))\.|^(::1$|f[cde])|\.local$/i.test(address));
    let kind = 'no-answer';
    if (dtls === 'failed' || ['connected', 'completed'].includes(peer.iceConnectionState)) kind = 'dtls-failed';
    else if (!this.#found.size) kind = 'no-candidates';
    else if (urls.some((url) => /^turns?:/.test(url)) && !this.#found.has('relay')) kind = 'relay-blocked';
    else if (!near && this.#found.size === 1 && this.#found.has('host')) kind = 'host-only';
    return new CallProblem(kind);
  }

  #play() {
    this.audio.srcObject = this.stream;
    if (this.#options.speaker) this.audio.setSinkId?.(this.#options.speaker).catch(noop);
    this.audio.play().catch(() => {
      // Some browsers want a gesture first.
      for (const type of ['pointerdown', 'keydown']) addEventListener(type, () => this.audio.play().catch(noop), { once: true });
    });
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !muted;
    this.#tell.changed(this.state);
  }

  async setMicrophone(wanted) {
    const stream = await openMicrophone(wanted);
    const [track] = stream?.getAudioTracks() ?? [];
    await this.peer?.getTransceivers()[0]?.sender.replaceTrack(track ?? null);
    for (const old of this.#microphone?.getTracks() ?? []) old.stop();
    this.#microphone = stream;
    this.#listen('microphone', stream);
    this.mute(this.muted);
  }

  levels() {
    if (this.#context?.state === 'suspended') this.#context.resume();
    return { microphone: this.muted ? 0 : this.#meters.microphone?.() ?? 0, speaker: this.#meters.speaker?.() ?? 0 };
  }

  #listen(name, stream) {
    if (!stream || this.state === 'ended') return;
    this.#context ??= new AudioContext();
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1024;
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const wave = new Float32Array(analyser.fftSize);
    this.#meters[name] = () => {
      analyser.getFloatTimeDomainData(wave);
      return Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length);
    };
  }

  #become(state, problem) {
    if (this.state === state) return;
    this.state = state;
    this.#tell.changed(state, problem);
  }

  #fail(problem) {
    if (this.state === 'ended') return;
    this.#settle.reject(problem);
    this.stop(problem);
  }

  #after(seconds, then) {
    this.#timers.push(setTimeout(then, seconds * 1000));
  }

  stop(problem) {
    if (this.state === 'ended') return;
    this.#timers.forEach(clearTimeout);
    this.#settle.reject(new CallProblem('connection-lost'));
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    if (this.peer) this.peer.onconnectionstatechange = null;
    this.peer?.close();
    this.audio.srcObject = null;
    this.#context?.close();
    this.#context = null;
    this.#meters = {};
    this.#become('ended', problem);
  }
}

/** Take an offer, or say what is missing in it. */
async function accept(peer, sdp) {
  const missing = ['fingerprint', 'ice-ufrag', 'ice-pwd', 'rtcp-mux'].filter((name) => !sdp.includes(`\na=${name}`));
  if (missing.length) throw new CallProblem('bad-offer', { message: `The agent's offer lacks ${missing.join(', ')}.` });
  await peer.setRemoteDescription({ type: 'offer', sdp });
}
