/** What pages use: a conversation with an agent, its turns, its tools and its call. */

import { Approvals } from './approvals.js';
import { Calls } from './calls.js';
import { Conversation } from './conversation.js';
import { CallProblem, cancelled, RelayError } from './errors.js';
import { devices, openMicrophone, openUnlessAborted } from './microphone.js';
import { checkPeer } from './peer.js';
import { stopTracks } from './scope.js';
import { BrowserTools } from './tools.js';
import { Turns, wholeTurns } from './turns.js';

const DEFAULTS = {
  attempts: 5, connectTimeout: 10, renew: false, backoff: {}, turnGap: 1, toolTimeout: 15, heartbeat: 15,
  maxFrame: 64 * 1024, maxWaiting: 1024 * 1024, framesPerSecond: 15, frameBurst: 40,
};

/** A conversation with an agent, through the gateway. */
export class RelayClient extends EventTarget {
  /** Resolves when the conversation is live, rejects with a RelayError. */
  static connect(options) {
    return new RelayClient(options).open();
  }

  /** Ask for the microphone, connect with callType 'webCall' and take the agent's call. */
  static async call(options = {}) {
    const { signal } = options;
    const aborted = () => cancelled(signal.reason);
    if (signal?.aborted) throw aborted();
    checkPeer(options);
    const microphone = await openUnlessAborted(options.microphone, signal, aborted);
    let chat;
    try {
      chat = new RelayClient({ ...options, callType: 'webCall' });
      await chat.open();
      await chat.startCall({ ...options, microphone: microphone ?? false });
      return chat;
    } catch (problem) {
      stopTracks(microphone);
      chat?.hangUp();
      throw signal?.aborted ? aborted() : problem;
    }
  }

  static microphone(wanted) {
    return openMicrophone(wanted);
  }

  static devices() {
    return devices();
  }

  result = null;
  #closed;
  closed = new Promise((done) => (this.#closed = done));

  #options;
  #conversation;
  #turns;
  #tools;
  #approvals;
  #calls;
  #opening;
  #opened;

  constructor(options = {}) {
    super();
    this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    const emit = (type, detail) => this.#emit(type, detail);
    this.#turns = new Turns(this.#options.turnGap, emit);
    this.#conversation = new Conversation(this.#options, {
      turns: this.#turns,
      state: (change) => this.#changed(change),
      frame: (frame, kind, data) => this.#frame(frame, kind, data),
      sent: (frame) => emit('sent', frame),
      session: (session) => emit('session', session),
      queued: (queue) => emit('queued', queue),
      resumed: (how) => emit('resumed', how),
      restored: (turns) => this.#turns.restore(turns),
      renewed: (takeover) => this.#renewed(takeover),
      error: (error) => emit('error', error),
    });
    this.#tools = new BrowserTools(this, this.#options.toolTimeout, this.#conversation.ended.signal, emit);
    this.#approvals = new Approvals((frame) => this.state !== 'ended' && this.#conversation.send(frame, true), emit);
    this.#calls = new Calls(this.#options, {
      changed: (state, problem) => this.#callChanged(state, problem),
      answer: (sdpAnswer, channelId) => this.sendFrame({ type: 'sdpAnswer', channelId, data: { sdpAnswer } }),
      event: emit,
    });
    for (const [name, tool] of Object.entries(options.tools ?? {})) {
      if (typeof tool === 'function') this.tool(name, tool);
      else this.tool(name, tool.schema, tool.run);
    }
  }

  get state() {
    return this.#conversation.state;
  }
  get reason() {
    return this.#conversation.reason;
  }
  get queue() {
    return this.#conversation.queue;
  }
  get session() {
    return this.#conversation.session;
  }
  get turns() {
    return this.#turns.list;
  }
  /** Tool calls that wait for the user's approval. */
  get approvals() {
    return this.#approvals.open;
  }
  get takeover() {
    return this.#conversation.takeover;
  }

  open() {
    return (this.#opening ??= new Promise((resolve, reject) => {
      this.#opened = { resolve, reject };
      if (this.state === 'ended') return reject(this.reason);
      try {
        // Before anything is opened, or anybody is called.
        if (this.#options.callType === 'webCall' && globalThis.RTCPeerConnection) checkPeer(this.#options);
      } catch (problem) {
        reject(problem);
        return this.#conversation.end(new RelayError(1000, { message: problem.message, cause: problem }));
      }
      return this.#conversation.open();
    }));
  }

  /** Listen: `off = chat.on('turn', (turn) => …)`. */
  on(type, listener) {
    const handler = (event) => listener(event.detail);
    this.addEventListener(type, handler);
    return () => this.removeEventListener(type, handler);
  }

  /** Whole turns from the start; throws the RelayError of an end that was not normal. */
  [Symbol.asyncIterator]() {
    return wholeTurns(this.#turns, this);
  }

  send(text) {
    if (typeof text !== 'string') throw new TypeError('send takes a string');
    this.sendFrame({ type: 'incomingChatMessage', content: text });
  }

  /** Send any frame of the vendor's. */
  sendFrame(frame) {
    this.#conversation.send(frame, false);
  }

  get waiting() {
    return this.#conversation.waiting;
  }

  /** Serve a browser tool: `chat.tool('show_order', schema?, async (args, context) => result)`. */
  tool(name, schema, run) {
    return this.#tools.serve(name, schema, run);
  }

  /** Let a tool run that the event `approval` named, or not; tells whether that was still to be decided. */
  approve(id, approve = true) {
    return this.#approvals.answer(id, approve);
  }

  /** Resolves when audio is connected, rejects with a CallProblem: then the conversation is ended, too. */
  async startCall(options = {}) {
    if (this.state === 'ended') throw this.reason;
    if (this.#conversation.leaving) throw new CallProblem('cancelled');
    if (this.state === 'queued') await this.open();
    if (this.session && this.session.callType !== 'webCall') throw new CallProblem('not-a-call');
    return this.#calls.take(options);
  }

  /** Nobody hears the agent any more, so nobody shall pay for it. */
  #callChanged(state, problem) {
    this.#emit('call', { state, problem: problem ?? null });
    if (problem) this.hangUp();
  }

  get call() {
    return this.#calls.current;
  }
  /** Whether the microphone is, or will be, muted. */
  get muted() {
    return this.#calls.muted;
  }
  mute() {
    this.#calls.mute(true);
  }
  unmute() {
    this.#calls.mute(false);
  }
  /** Press keys: 0-9, *, #, A-D, and a comma for a pause. */
  dtmf(keys, { duration = 120, gap = 80 } = {}) {
    this.#calls.dtmf(keys, duration, gap);
  }
  setMicrophone(microphone) {
    return this.#calls.setMicrophone(microphone);
  }
  setSpeaker(deviceId) {
    return this.#calls.setSpeaker(deviceId);
  }
  /** How loud it is, 0 to 1, for a meter. */
  levels() {
    return this.#calls.levels();
  }

  /** End the conversation and its call; resolves when it has ended. */
  hangUp() {
    this.#conversation.leave();
    this.#calls.stop();
    return this.closed;
  }

  // ---- what the conversation tells ----

  #changed(change) {
    const { state, reason } = change;
    if (state === 'ended') {
      this.#turns.finish();
      this.#calls.stop();
      this.#approvals.end();
    }
    this.#emit('state', change);
    if (state === 'live') this.#opened.resolve(this);
    if (state !== 'ended') return;
    this.#emit('ended', reason);
    this.#opened?.reject(reason);
    this.#closed(reason);
  }

  #renewed(takeover) {
    if (takeover) this.#emit('handback', takeover);
    this.#turns.finish();
    this.#tools.forget();
    this.#approvals.end();
    this.#calls.forget();
  }

  #frame(frame, kind, data) {
    this.#emit('frame', frame);
    switch (kind) {
      case 'relay.warning': return this.#emit('warning', data);
      case 'relay.approval_request': return this.#approvals.asked(data);
      case 'relay.approval_settled': return this.#approvals.settled(data);
      case 'relay.history': return this.#turns.joined(data.turns ?? []);
      case 'relay.notice':
      case 'relay.takeover':
      case 'relay.handback':
      case 'relay.draining': return this.#emit(kind.slice(6), data);
      case 'text': return this.#turns.said(frame);
      case 'sdpInvite':
        this.#calls.invited(frame);
        return this.#emit('invite', frame);
      case 'websocketToolRequest': return this.#toolRequested(frame);
      case 'event': return this.#emit('event', { name: frame.name, data });
      case 'conversationResult':
        this.#turns.finish();
        this.result = frame.result ?? null;
        return this.#emit('result', this.result);
    }
    // A backend's own events are numbered.
    return frame.number && kind.startsWith('relay.') ? this.#emit('event', { name: frame.name, data }) : undefined;
  }

  #toolRequested(frame) {
    const { session } = this;
    this.#tools.request(frame, (answer, always) => {
      if (this.state !== 'ended' && session === this.session) this.#conversation.send(answer, always);
    });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
