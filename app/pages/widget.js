/**
 * <blackbox-relay-chat>: chat and call with an agent, as one element.
 *
 *     <script type="module" src="https://relay.example.com/widget.js"></script>
 *     <blackbox-relay-chat url="wss://relay.example.com/ws" agent="support"></blackbox-relay-chat>
 *
 * Attributes: url, agent, credential, call-types ("chat", "webCall" or both), heading, intro,
 * endpoint, autostart, theme ("light", "dark"; else the reader's own), texts (JSON, see TEXTS).
 * Properties: credential (a callback, too), additionalData, tools, iceServers, options (any other of
 * client.js), client (the RelayClient of now). Methods: start(callType), end(), show(node).
 * Events: relay-client (detail: the RelayClient, before it connects), and the client's own state,
 * turn, call and ended.
 * Style: the variables at :host below, and ::part(header, log, bubble, composer, button).
 */

import { RelayClient, CallProblem } from './client.js';

/** Every text of the widget; give translations as JSON in the attribute `texts`. */
export const TEXTS = {
  heading: 'Chat with us',
  intro: 'Ask a question, or talk to us.',
  startChat: 'Start a chat',
  startCall: 'Start a call',
  again: 'Start again',
  end: 'End the conversation',
  hangUp: 'Hang up',
  send: 'Send',
  message: 'Your message',
  placeholder: 'Write a message…',
  log: 'Conversation',
  you: 'You',
  agent: 'Agent',
  idle: 'Not connected',
  connecting: 'Connecting…',
  live: 'Online',
  resuming: 'Connection lost. Reconnecting…',
  resumed: 'Connected again. Nothing was lost.',
  ended: 'The conversation has ended.',
  draining: 'This conversation will be ended for maintenance soon.',
  typing: 'Agent is writing',
  calling: 'Calling…',
  inCall: 'In a call',
  interrupted: 'The audio is interrupted…',
  mute: 'Mute the microphone',
  unmute: 'Unmute the microphone',
  muted: 'Muted',
  keypad: 'Keypad',
  key: 'Key',
  devices: 'Microphone and speaker',
  microphone: 'Microphone',
  speaker: 'Speaker',
  standard: 'Standard',
  retryIn: 'You can try again in {seconds} s.',
};

const STYLE = `
:host {
  --_font: var(--relay-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
  --_accent: var(--relay-accent, light-dark(#0b6b5d, #5fd0ba));
  --_on-accent: var(--relay-accent-text, light-dark(#ffffff, #06231e));
  --_background: var(--relay-background, light-dark(#ffffff, #15181b));
  --_surface: var(--relay-surface, light-dark(#f4f5f4, #1f2428));
  --_text: var(--relay-text, light-dark(#16191c, #eef1f0));
  --_muted: var(--relay-muted, light-dark(#59626a, #a2adb3));
  --_border: var(--relay-border, light-dark(#dfe3e2, #30373c));
  --_danger: var(--relay-danger, light-dark(#b3261e, #ff9d94));
  --_warn: var(--relay-warn, light-dark(#8a5300, #f1c069));
  --_radius: var(--relay-radius, 16px);
  color-scheme: light dark;
  display: block;
  min-height: 26rem;
  container-type: inline-size;
  font: 400 0.9375rem/1.5 var(--_font);
  color: var(--_text);
  -webkit-text-size-adjust: 100%;
}
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]) { display: none; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.panel {
  display: flex; flex-direction: column; height: 100%; min-height: inherit; overflow: hidden;
  background: var(--_background); border: 1px solid var(--_border); border-radius: var(--_radius);
}
.header { display: flex; align-items: center; gap: 0.75rem; padding: 0.875rem 1rem; border-bottom: 1px solid var(--_border); }
.avatar {
  flex: none; display: grid; place-items: center; width: 2.25rem; height: 2.25rem; border-radius: 50%;
  background: color-mix(in oklab, var(--_accent) 14%, transparent); color: var(--_accent);
}
.who { flex: 1; min-width: 0; }
h2 { margin: 0; font-size: 1rem; line-height: 1.3; font-weight: 620; letter-spacing: -0.006em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.status { margin: 0; display: flex; align-items: center; gap: 0.4rem; color: var(--_muted); font-size: 0.8125rem; line-height: 1.35; }
.dot { flex: none; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--_muted); }
[data-state="live"] .dot { background: var(--_accent); }
[data-state="connecting"] .dot, [data-state="resuming"] .dot { background: var(--_warn); }
button, select, textarea { font: inherit; color: inherit; }
button { cursor: pointer; }
button:disabled { cursor: default; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.icon {
  flex: none; display: grid; place-items: center; width: 2.5rem; height: 2.5rem; padding: 0;
  border: 1px solid transparent; border-radius: 50%; background: transparent; color: var(--_muted);
}
.icon:hover:enabled, .icon[aria-expanded="true"] { background: var(--_surface); color: var(--_text); }
.icon[aria-pressed="true"] { background: var(--_text); color: var(--_background); }
.icon.danger { color: var(--_danger); }
svg { width: 1.25rem; height: 1.25rem; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.log {
  flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 1rem;
  display: flex; flex-direction: column; gap: 0.375rem; scroll-padding: 1rem;
}
.log::before { content: ""; margin-top: auto; }
.turn { max-width: min(85%, 34rem); align-self: flex-start; }
.turn.user { align-self: flex-end; }
.turn:not(.same) { margin-top: 0.625rem; }
.bubble {
  margin: 0; padding: 0.5625rem 0.875rem; border-radius: 1.125rem; border-end-start-radius: 0.375rem;
  background: var(--_surface); white-space: pre-wrap; overflow-wrap: anywhere;
}
.user .bubble {
  background: var(--_accent); color: var(--_on-accent);
  border-end-start-radius: 1.125rem; border-end-end-radius: 0.375rem;
}
.user.waiting .bubble { background: color-mix(in oklab, var(--_accent) 90%, var(--_background)); }
.note { align-self: center; max-width: 95%; margin: 0.625rem 0 0; color: var(--_muted); font-size: 0.8125rem; text-align: center; }
.problem {
  margin: 0.75rem 0 0; padding: 0.75rem 1rem; border-radius: 0.5rem; border: 1px solid var(--_border);
  border-inline-start: 3px solid var(--_danger); background: var(--_background);
}
.problem p { margin: 0; }
.problem p:first-child { font-weight: 600; }
.problem p + p { color: var(--_muted); font-size: 0.875rem; }
.typing { display: flex; gap: 0.3rem; padding: 0.75rem 0.875rem; }
.typing i { width: 0.375rem; height: 0.375rem; border-radius: 50%; background: var(--_muted); }
.call { flex: none; max-height: 62%; overflow-y: auto; display: grid; gap: 0.75rem; padding: 0.75rem 1rem; border-bottom: 1px solid var(--_border); background: var(--_surface); }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 0.375rem; }
.time { margin: 0; flex: 1; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
.call .icon { background: var(--_background); border-color: var(--_border); color: var(--_text); }
.call .icon[aria-pressed="true"], .call .icon[aria-expanded="true"] { background: var(--_text); border-color: var(--_text); color: var(--_background); }
.call .icon.danger { background: light-dark(#b3261e, #c7372e); border-color: transparent; color: #fff; }
.meters { display: grid; grid-template-columns: auto 1fr; align-items: center; gap: 0.25rem 0.75rem; color: var(--_muted); font-size: 0.8125rem; }
.meter { height: 0.375rem; border-radius: 1rem; overflow: hidden; background: var(--_border); }
.meter i { display: block; height: 100%; border-radius: inherit; background: var(--_accent); transform: scaleX(var(--level, 0)); transform-origin: left; }
.keys { display: grid; grid-template-columns: repeat(3, 3.25rem); justify-content: center; gap: 0.375rem; }
.keys button { height: 2.75rem; border: 1px solid var(--_border); border-radius: 0.625rem; background: var(--_background); font-size: 1.0625rem; font-variant-numeric: tabular-nums; }
.keys button:active { background: var(--_accent); color: var(--_on-accent); }
.devices { display: grid; gap: 0.5rem; }
.devices label { display: grid; gap: 0.2rem; font-size: 0.8125rem; color: var(--_muted); min-width: 0; }
select {
  appearance: none; width: 100%; min-width: 0; height: 2.5rem; padding: 0 2rem 0 0.625rem; text-overflow: ellipsis;
  border: 1px solid var(--_border); border-radius: 0.5rem; color: var(--_text);
  background: linear-gradient(45deg, transparent 50%, currentcolor 0) right 1rem center / 0.3rem 0.3rem no-repeat,
    linear-gradient(-45deg, transparent 50%, currentcolor 0) right 0.7rem center / 0.3rem 0.3rem no-repeat, var(--_background);
}
.composer { display: flex; align-items: flex-end; gap: 0.5rem; padding: 0.75rem; border-top: 1px solid var(--_border); }
textarea {
  flex: 1; min-width: 0; resize: none; field-sizing: content; height: auto; min-height: 2.75rem; max-height: 9rem;
  padding: 0.5625rem 1rem; border: 1px solid light-dark(#868f95, #75828a); border-radius: 1.375rem; background: var(--_background); line-height: 1.5;
}
textarea::placeholder { color: var(--_muted); opacity: 1; }
textarea:focus-visible { outline-offset: -1px; border-color: var(--_accent); }
.primary {
  min-height: 2.75rem; padding: 0.5rem 1.25rem; border: 1px solid transparent; border-radius: 1.375rem;
  background: var(--_accent); color: var(--_on-accent); font-weight: 600; display: inline-flex; align-items: center; justify-content: center; gap: 0.5rem;
}
.primary:hover:enabled { background: color-mix(in oklab, var(--_accent) 88%, var(--_text)); }
.primary:disabled { background: var(--_surface); color: var(--_muted); }
.primary.quiet { background: transparent; border-color: var(--_border); color: var(--_text); }
.primary.quiet:hover:enabled { background: var(--_surface); }
.composer .primary { flex: none; width: 2.75rem; padding: 0; }
.start { display: grid; gap: 1rem; padding: 1rem; border-top: 1px solid var(--_border); }
.start.alone { flex: 1; place-content: center; justify-items: center; text-align: center; border-top: 0; padding: 2rem 1.5rem; }
.start p { margin: 0; color: var(--_muted); max-width: 26rem; text-wrap: balance; }
.choices { display: flex; flex-wrap: wrap; gap: 0.5rem; justify-content: center; }
.spoken { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 24rem) {
  .header, .log, .call { padding-inline: 0.75rem; }
  .composer { padding: 0.625rem; }
  .turn { max-width: 92%; }
  .choices, .choices .primary { width: 100%; }
  .time { flex-basis: 100%; }
}
@media (prefers-reduced-motion: no-preference) {
  .icon, .primary { transition: background-color 0.15s, color 0.15s; }
  .turn, .note, .problem { animation: rise 0.2s ease-out; }
  .typing i { animation: breathe 1.2s infinite ease-in-out; }
  .typing i:nth-child(2) { animation-delay: 0.15s; }
  .typing i:nth-child(3) { animation-delay: 0.3s; }
  @keyframes rise { from { opacity: 0; translate: 0 0.375rem; } }
  @keyframes breathe { 0%, 60%, 100% { opacity: 0.35; } 30% { opacity: 1; } }
}
@media (forced-colors: active) {
  .bubble, .primary, .icon { border: 1px solid; }
  .meter i, .dot { background: Highlight; forced-color-adjust: none; }
}
`;

const ICONS = {
  agent: '<path d="M4 5h16v11H9l-5 4z"/><path d="M8.5 10.5h.01M12 10.5h.01M15.5 10.5h.01"/>',
  phone: '<path d="M6.5 4h3l1.5 4-2 1.5a11 11 0 0 0 5.5 5.5L16 13l4 1.5v3a2 2 0 0 1-2.2 2A16 16 0 0 1 4.5 6.2 2 2 0 0 1 6.5 4z"/>',
  hangUp: '<path d="M3 13.5c5-4.7 13-4.7 18 0l-2 3-4-1.7v-2.6a13 13 0 0 0-6 0v2.6L5 16.500z"/>',
  microphone: '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.500 11a6.5 6.5 0 0 0 13 0M12 17.500V21"/>',
  keypad: '<path d="M6 6h.01M12 6h.01M18 6h.01M6 12h.01M12 12h.01M18 12h.01M6 18h.01M12 18h.01M18 18h.01" stroke-width="3"/>',
  devices: '<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>',
  send: '<path d="M12 19V5M6 11l6-6 6 6"/>',
  close: '<path d="M6 6l12 12M18 6L6 18"/>',
};
const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;

const MARKUP = `
<section class="panel" data-state="idle">
  <header class="header" part="header">
    <span class="avatar">${icon('agent')}</span>
    <div class="who"><h2 id="heading"></h2><p class="status"><span class="dot"></span><span id="status" role="status"></span></p></div>
    <button id="end" class="icon" part="button" type="button" hidden>${icon('close')}</button>
  </header>
  <div id="call" class="call" role="group" hidden>
    <div class="controls">
      <p id="time" class="time"></p>
      <button id="mute" class="icon" part="button" type="button" aria-pressed="false">${icon('microphone')}</button>
      <button id="pad" class="icon" part="button" type="button" aria-expanded="false" aria-controls="keys">${icon('keypad')}</button>
      <button id="choose" class="icon" part="button" type="button" aria-expanded="false" aria-controls="devices">${icon('devices')}</button>
      <button id="hang" class="icon danger" part="button" type="button">${icon('hangUp')}</button>
    </div>
    <div class="meters" aria-hidden="true">
      <span data-text="you"></span><span class="meter"><i id="mine"></i></span>
      <span data-text="agent"></span><span class="meter"><i id="theirs"></i></span>
    </div>
    <div id="keys" class="keys" role="group" hidden></div>
    <div id="devices" class="devices" hidden>
      <label><span data-text="microphone"></span><select id="mics"></select></label>
      <label><span data-text="speaker"></span><select id="speakers"></select></label>
    </div>
  </div>
  <div id="log" class="log" part="log" role="log" aria-live="off" tabindex="0" hidden></div>
  <div id="start" class="start alone">
    <p id="intro"></p>
    <div class="choices">
      <button id="chat" class="primary" part="button" type="button"></button>
      <button id="ring" class="primary" part="button" type="button"></button>
    </div>
  </div>
  <form id="composer" class="composer" part="composer" hidden>
    <textarea id="message" rows="1" enterkeyhint="send" autocomplete="off"></textarea>
    <button id="send" class="primary" part="button" type="submit" disabled>${icon('send')}</button>
  </form>
  <div id="spoken" class="spoken" aria-live="polite"></div>
</section>`;

const KEYS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];
const JUST_NOW = 600; // ms before a busy agent is shown as writing

export class BlackboxRelayChat extends HTMLElement {
  static observedAttributes = ['texts', 'heading', 'intro', 'call-types'];

  /** The conversation of now (a RelayClient), or null. */
  client = null;
  additionalData;
  iceServers;
  tools = {};
  options = {};
  #credential;
  #texts = TEXTS;
  #open; // the bubble of the turn that is being said
  #waiting = []; // what was typed and has not been echoed
  #typing;
  #cards = 0;
  #frame = 0;
  #answered = 0;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = MARKUP;
    const on = (id, type, listener) => this.#by(id).addEventListener(type, listener);
    on('chat', 'click', () => this.start(this.#written));
    on('ring', 'click', () => this.start('webCall'));
    on('end', 'click', () => this.end());
    on('hang', 'click', () => this.end());
    on('mute', 'click', () => this.client?.call?.muted ? this.client.unmute() : this.client?.mute());
    on('pad', 'click', () => this.#disclose('pad'));
    on('choose', 'click', () => this.#disclose('choose'));
    on('mics', 'change', ({ target }) => this.#tryOut(this.client?.setMicrophone(target.value)));
    on('speakers', 'change', ({ target }) => this.#tryOut(this.client?.setSpeaker(target.value)));
    on('message', 'input', () => this.#ready());
    on('message', 'keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say();
    });
    on('composer', 'submit', (event) => {
      event.preventDefault();
      this.#say();
    });
    for (const key of KEYS) {
      const button = make('button', '', key);
      button.type = 'button';
      button.addEventListener('click', () => this.#press(key));
      this.#by('keys').append(button);
    }
  }

  connectedCallback() {
    this.#translate();
    if (this.hasAttribute('autostart') && !this.client) this.start();
  }

  disconnectedCallback() {
    // Moving an element takes it off and puts it back in one go; only one that stays off has left.
    queueMicrotask(() => this.isConnected || this.client?.hangUp());
  }

  attributeChangedCallback() {
    this.#translate();
  }

  /** A ticket, a JWT, or a callback that gives one. */
  get credential() {
    return this.#credential ?? this.getAttribute('credential') ?? undefined;
  }
  set credential(value) {
    this.#credential = value;
  }

  get callTypes() {
    return (this.getAttribute('call-types') ?? 'chat').split(/[\s,]+/).filter(Boolean);
  }

  /** What the first button begins: a chat, or a call by telephone that is read along. */
  get #written() {
    return this.callTypes.find((type) => type !== 'webCall');
  }

  /** Begin a conversation: 'chat', 'webCall' or 'onPhone'. Never rejects: what went wrong is shown. */
  async start(callType = this.callTypes[0]) {
    await this.client?.hangUp();
    this.#by('log').replaceChildren();
    let microphone;
    if (callType === 'webCall') {
      // Before the conversation: nobody pays for an agent that waits for a prompt.
      try {
        microphone = await RelayClient.microphone(this.options.microphone);
      } catch (problem) {
        this.#arrange('ended');
        this.#problem(problem.message, problem.advice);
        return;
      }
    }
    for (const card of this.querySelectorAll(':scope > [slot^="card-"]')) card.remove();
    this.#open = null;
    this.#waiting = [];
    const client = (this.client = new RelayClient({
      ...(this.hasAttribute('url') && { url: new URL(this.getAttribute('url'), location.href) }),
      agent: this.getAttribute('agent') ?? undefined,
      endpoint: this.getAttribute('endpoint') ?? undefined,
      credential: this.credential,
      additionalData: this.additionalData,
      iceServers: this.iceServers ?? [],
      tools: this.tools,
      ...this.options,
      callType,
    }));
    this.#follow(client);
    this.dispatchEvent(new CustomEvent('relay-client', { detail: client, bubbles: true, composed: true }));
    this.#arrange('connecting');
    try {
      await client.open();
      if (callType === 'webCall') {
        this.#arrangeCall('starting');
        await client.startCall({ microphone: microphone ?? false });
      }
      if (this.client === client) this.#by('message').focus({ preventScroll: true });
    } catch (problem) {
      for (const track of microphone?.getTracks() ?? []) track.stop();
      if (problem instanceof CallProblem && client.state !== 'ended') {
        this.#problem(problem.message, problem.advice);
        client.hangUp();
      }
    }
  }

  /** End the conversation. */
  end() {
    return this.client?.hangUp();
  }

  /** Put a node of the page's own into the conversation; the page's style sheets apply to it. */
  show(node) {
    this.#cards += 1;
    const slot = make('slot');
    slot.name = node.slot = `card-${this.#cards}`;
    this.append(node);
    this.#add(slot);
  }

  #follow(client) {
    const on = (type, listener) => client.on(type, (detail) => this.client === client && listener(detail));
    on('state', (change) => this.#changed(change));
    on('text', ({ source, turn }) => this.#piece(source, turn));
    on('turn', (turn) => this.#whole(turn));
    on('resumed', () => this.#note(this.#texts.resumed));
    on('draining', () => this.#note(this.#texts.draining));
    on('error', (error) => error.code === 0 && this.#note(error.message));
    on('call', ({ state, problem }) => {
      this.#arrangeCall(state);
      if (problem?.kind === 'connection-lost') this.#problem(problem.message, problem.advice);
    });
    for (const type of ['state', 'turn', 'call', 'ended']) {
      on(type, (detail) => this.dispatchEvent(new CustomEvent(type, { detail })));
    }
  }

  #changed({ state, reason, delay }) {
    this.#arrange(state);
    if (state === 'resuming') this.#note(this.#texts.resuming);
    if (state !== 'ended') return;
    this.#stopTyping();
    this.#by('call').hidden = true;
    if (reason.code === 1000) return this.#note(this.#texts.ended);
    const wait = reason.retryAfter ?? delay;
    const later = reason.retry !== 'no' && wait ? this.#texts.retryIn.replace('{seconds}', Math.ceil(wait)) : '';
    return this.#problem(reason.message, later);
  }

  /** What of the panel is there in a state. */
  #arrange(state) {
    const ended = state === 'ended';
    const panel = this.#by('log').parentElement;
    const hadFocus = this.shadowRoot.activeElement;
    panel.dataset.state = state;
    const text = { connecting: 'connecting', live: 'live', resuming: 'resuming', ended: 'idle' }[state];
    this.#by('status').textContent = this.#texts[text];
    this.#by('log').hidden = false;
    this.#by('start').classList.remove('alone');
    this.#by('start').hidden = !ended;
    this.#by('intro').hidden = true;
    this.#by('composer').hidden = ended;
    this.#by('end').hidden = ended;
    if (ended) this.#label();
    this.#ready();
    if (hadFocus && hadFocus.offsetParent === null) (ended ? this.#by('chat').hidden ? this.#by('ring') : this.#by('chat') : this.#by('message')).focus();
  }

  #arrangeCall(state) {
    const { client } = this;
    const inCall = state !== 'ended';
    this.#by('call').hidden = !inCall;
    this.#by('end').hidden = inCall || client.state === 'ended';
    const muted = Boolean(client.call?.muted);
    this.#by('mute').setAttribute('aria-pressed', muted);
    name(this.#by('mute'), this.#texts[muted ? 'unmute' : 'mute']);
    if (state === 'connected' && !this.#answered) this.#answered = Date.now();
    if (!inCall) this.#answered = 0;
    if (inCall && !this.#frame) this.#animate();
  }

  #animate() {
    const { client } = this;
    const call = client?.call;
    if (!call || call.state === 'ended' || !this.isConnected) {
      this.#frame = 0;
      return;
    }
    const { microphone, speaker } = client.levels();
    const shown = (level) => Math.min(1, Math.sqrt(level) * 1.6).toFixed(3);
    this.#by('mine').style.setProperty('--level', shown(microphone));
    this.#by('theirs').style.setProperty('--level', shown(speaker));
    const seconds = this.#answered ? Math.floor((Date.now() - this.#answered) / 1000) : 0;
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    const t = this.#texts;
    const now = { connected: `${call.muted ? t.muted : t.inCall} · ${clock}`, interrupted: t.interrupted }[call.state] ?? t.calling;
    if (this.#by('time').textContent !== now) this.#by('time').textContent = now;
    this.#frame = requestAnimationFrame(() => this.#animate());
  }

  // ---- the conversation ----

  #say() {
    const field = this.#by('message');
    const text = field.value.trim();
    if (!text || !this.client || this.client.state === 'ended') return;
    try {
      this.client.send(text);
    } catch (error) {
      this.#problem(error.message, '');
      return;
    }
    field.value = '';
    this.#ready();
    const bubble = this.#bubble('user', text);
    bubble.classList.add('waiting');
    this.#waiting.push({ text, bubble });
    this.#expectAnswer();
  }

  #piece(source, turn) {
    this.#stopTyping();
    if (source === 'user') {
      // The vendor echoes what was typed: the bubble is there already.
      const at = this.#waiting.findIndex((one) => one.text === turn.text.trim());
      if (at >= 0) {
        for (const { bubble } of this.#waiting.splice(0, at + 1)) bubble.classList.remove('waiting');
        this.#open = null;
      } else {
        this.#bubble('user', turn.text);
      }
      this.#expectAnswer();
      return;
    }
    for (const { bubble } of this.#waiting) bubble.classList.remove('waiting');
    if (this.#open?.id === turn.id) this.#open.text.textContent = turn.text;
    else this.#open = { id: turn.id, text: this.#bubble('assistant', turn.text).querySelector('.bubble') };
    this.#scroll();
  }

  #whole(turn) {
    if (turn.source === 'user') return;
    this.#open = null;
    this.#speak(`${this.#texts.agent}: ${turn.text}`);
  }

  #bubble(source, text) {
    const turn = make('div', `turn ${source}`);
    const before = this.#by('log').lastElementChild;
    if (before?.classList.contains(source)) turn.classList.add('same');
    turn.append(make('span', 'spoken', `${source === 'user' ? this.#texts.you : this.#texts.agent}: `));
    const bubble = make('p', 'bubble', text);
    bubble.part = 'bubble';
    turn.append(bubble);
    return this.#add(turn);
  }

  #note(text) {
    const last = this.#by('log').lastElementChild;
    if (last?.className === 'note' && last.textContent === text) return;
    this.#add(make('p', 'note', text));
    this.#speak(text);
  }

  #problem(message, advice) {
    const box = make('div', 'problem');
    box.setAttribute('role', 'alert');
    box.append(make('p', '', message));
    if (advice) box.append(make('p', '', advice));
    this.#add(box);
  }

  #add(node) {
    const log = this.#by('log');
    const near = log.scrollHeight - log.scrollTop - log.clientHeight < 120;
    log.append(node);
    if (this.#typing?.isConnected) log.append(this.#typing);
    if (near) this.#scroll();
    return node;
  }

  #expectAnswer() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.client?.state !== 'live') return;
      this.#typing ??= make('div', 'turn assistant');
      this.#typing.innerHTML = '<div class="bubble typing"><i></i><i></i><i></i></div>';
      this.#typing.firstChild.setAttribute('role', 'img');
      this.#typing.firstChild.setAttribute('aria-label', this.#texts.typing);
      this.#add(this.#typing);
    }, JUST_NOW);
  }
  #timer;

  #stopTyping() {
    clearTimeout(this.#timer);
    this.#typing?.remove();
  }

  #scroll() {
    const log = this.#by('log');
    log.scrollTop = log.scrollHeight;
  }

  #speak(text) {
    const line = make('p', '', text);
    this.#by('spoken').append(line);
    if (this.#by('spoken').childElementCount > 5) this.#by('spoken').firstElementChild.remove();
  }

  #ready() {
    const empty = !this.#by('message').value.trim();
    this.#by('send').disabled = empty || !this.client || this.client.state === 'ended';
  }

  // ---- the call's controls ----

  #press(key) {
    try {
      this.client?.dtmf(key);
    } catch (problem) {
      this.#problem(problem.message, problem.advice);
    }
  }

  /** Open what belongs to a button, or close it; there is room for one. */
  #disclose(wanted) {
    for (const [button, what] of [['pad', 'keys'], ['choose', 'devices']]) {
      const open = button === wanted && this.#by(what).hidden;
      this.#by(what).hidden = !open;
      this.#by(button).setAttribute('aria-expanded', open);
    }
    if (!this.#by('devices').hidden) this.#listDevices();
  }

  async #listDevices() {
    const { microphones, speakers } = await RelayClient.devices();
    const fill = (select, devices) => {
      const chosen = select.value;
      const options = devices.map((device, at) => new Option(device.label || `${this.#texts.standard} ${at + 1}`, device.deviceId));
      select.replaceChildren(...(options.length ? options : [new Option(this.#texts.standard, '')]));
      if (devices.some((device) => device.deviceId === chosen)) select.value = chosen;
    };
    this.#by('speakers').parentElement.hidden = !speakers.length;
    fill(this.#by('mics'), microphones);
    fill(this.#by('speakers'), 'setSinkId' in HTMLMediaElement.prototype ? speakers : []);
  }

  async #tryOut(change) {
    try {
      await change;
    } catch (problem) {
      this.#problem(problem.message, problem.advice);
    }
  }

  // ---- texts ----

  #translate() {
    let given = {};
    try {
      given = JSON.parse(this.getAttribute('texts') ?? '{}');
    } catch {
      console.warn('blackbox-relay-chat: the attribute `texts` is not JSON');
    }
    const t = (this.#texts = { ...TEXTS, ...given });
    this.#by('heading').textContent = this.getAttribute('heading') ?? t.heading;
    this.#by('intro').textContent = this.getAttribute('intro') ?? t.intro;
    this.#by('log').setAttribute('aria-label', t.log);
    this.#by('call').setAttribute('aria-label', t.inCall);
    this.#by('keys').setAttribute('aria-label', t.keypad);
    this.#by('message').setAttribute('aria-label', t.message);
    this.#by('message').placeholder = t.placeholder;
    for (const [id, text] of Object.entries({ end: t.end, hang: t.hangUp, mute: t.mute, pad: t.keypad, choose: t.devices, send: t.send })) {
      name(this.#by(id), text);
    }
    for (const node of this.shadowRoot.querySelectorAll('[data-text]')) node.textContent = t[node.dataset.text];
    for (const button of this.#by('keys').children) button.setAttribute('aria-label', `${t.key} ${button.textContent}`);
    if (!this.client) this.#by('status').textContent = t.idle;
    this.#label();
  }

  /** The start buttons: what can be begun, or begun again. */
  #label() {
    const t = this.#texts;
    const both = this.callTypes.length > 1;
    this.#by('chat').hidden = !this.#written;
    this.#by('ring').hidden = !this.callTypes.includes('webCall');
    this.#by('ring').classList.toggle('quiet', both);
    this.#by('chat').textContent = this.client && !both ? t.again : this.#written === 'onPhone' ? t.startCall : t.startChat;
    this.#by('ring').innerHTML = icon('phone');
    this.#by('ring').append(this.client && !both ? t.again : t.startCall);
  }

  #by(id) {
    return this.shadowRoot.getElementById(id);
  }
}

function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function name(button, text) {
  button.setAttribute('aria-label', text);
  button.title = text;
}

customElements.define('blackbox-relay-chat', BlackboxRelayChat);
