/** The element <blackbox-relay-chat>: its attributes and properties, and the conversation that it shows. */

import { RelayClient } from '../client.js';
import { ApprovalCards } from './approvals.js';
import { CallControls } from './call.js';
import { Composer } from './composer.js';
import { ClientEvents } from './events.js';
import { focusIsWithin, keepKeys } from './host.js';
import { keptName, leftByEarlierPage, Parked, serveTools } from './keeping.js';
import { Messages } from './messages.js';
import { buildPanel, offerStarts, putTexts, showState } from './panel.js';
import { ElementWithProperties } from './properties.js';
import { Presence, Starting } from './starting.js';
import { adoptStyle } from './style.js';
import { TEXTS, translated } from './texts.js';

const GRACE = 150; // ms that an element may be out of the document, as while a page moves it

export class BlackboxRelayChat extends ElementWithProperties {
  static observedAttributes = ['texts', 'heading', 'intro', 'call-types'];

  /** The conversation of now (a RelayClient), or null. */
  client = null;
  #texts = TEXTS;
  #nodes;
  #messages;
  #approvals;
  #call;
  #composer;
  #events;
  #cards = 0;
  #shown = null; // the client whose conversation the log holds
  #presence = new Presence(GRACE, () => this.#gone());
  #starting = new Starting({
    begun: () => this.#arrange('connecting'),
    earlier: () => this.client?.hangUp(),
    present: () => this.#presence.settled(),
    microphone: () => RelayClient.microphone(this.options.microphone),
    connect: (callType) => this.#connect(callType),
    call: (client, microphone) => this.#takeCall(client, microphone),
    done: (byHand) => byHand && focusIsWithin(this) && this.#composer.focus(),
    failed: (client, problem) => this.#failed(client, problem),
  });
  static #parked = new Parked();

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    adoptStyle(this);
    this.#nodes = buildPanel(root);
    const texts = () => this.#texts;
    const client = () => this.client;
    this.#messages = new Messages(this.#nodes, texts);
    this.#approvals = new ApprovalCards(this.#messages, texts, (choices) => {
      if (choices.contains(this.shadowRoot.activeElement)) this.#composer.focus();
    });
    this.#call = new CallControls(this.#nodes, {
      texts,
      client,
      problem: (message, advice) => this.#messages.problem(message, advice),
      hangUp: () => this.#endByHand(),
    });
    this.#composer = new Composer(this.#nodes, this.#messages, { texts, client });
    this.#events = new ClientEvents({
      host: this,
      nodes: this.#nodes,
      texts,
      client,
      messages: this.#messages,
      approvals: this.#approvals,
      call: this.#call,
      composer: this.#composer,
      starting: this.#starting,
      arrange: (state) => this.#arrange(state),
      live: () => this.#clearEarlier(),
      end: () => this.end(),
    });
    this.#listen();
    this.takeOver();
  }

  connectedCallback() {
    this.#presence.back();
    this.#translate();
    this.#call.animate();
    if (this.#starting.isUnderWay || this.client) return;
    const kept = this.keep ? keptName(this) : null;
    const parked = kept && BlackboxRelayChat.#parked.take(kept);
    const left = kept && !parked ? leftByEarlierPage(kept) : null;
    if (parked) this.#adopt(parked);
    else if (left) this.start(left);
    else if (this.autostart) this.start();
  }

  disconnectedCallback() {
    this.#presence.left();
  }

  adoptedCallback() {
    adoptStyle(this); // a style sheet belongs to one document
  }

  attributeChangedCallback() {
    this.#translate();
  }

  /** What the first button begins: a chat, or a call by telephone. */
  get #written() {
    return this.callTypes.find((type) => type !== 'webCall');
  }

  /**
   * Begin a conversation: 'chat', 'webCall' or 'onPhone'; the one of now ends. Never rejects: what went
   * wrong is shown. One start at a time: asked again for the same, it is the same start; asked for
   * another, the earlier one is given up with all that it opened.
   */
  start(callType = this.callTypes[0]) {
    return this.#starting.begin(callType, false);
  }

  /** End the conversation, or give up one that is being started; resolves when it has ended. */
  end() {
    const { client } = this;
    const given = this.#starting.cancel();
    if (client && client.state !== 'ended') {
      this.#arrange('ending');
      this.#messages.stopTyping();
      return client.hangUp();
    }
    if (given) this.#arrange(client ? 'ended' : 'idle');
    return client?.closed;
  }

  /** Whoever ended it is led on to the start, if nothing else took the focus meanwhile; Enter meant for an agent's end is not. */
  async #endByHand() {
    await this.end();
    if (this.shadowRoot.activeElement !== this.#nodes.panel) return;
    this.#nodes[this.#nodes.chat.hidden ? 'ring' : 'chat'].focus({ preventScroll: true });
  }

  /** Put a node of the page's own into the conversation; the page's style sheets apply to it. */
  show(node) {
    this.#cards += 1;
    const slot = document.createElement('slot');
    slot.name = node.slot = `card-${this.#cards}`;
    this.append(node);
    this.#messages.add(slot);
  }

  // ---- starting, leaving the document, coming back ----

  #connect(callType) {
    const keep = this.keep && keptName(this);
    const client = new RelayClient({ ...this.clientOptions(), keep, shared: Boolean(keep), ...this.options, callType });
    this.client = client;
    this.#messages.begin();
    this.#approvals.forget();
    this.#follow(client);
    this.#arrange('connecting');
    return client;
  }

  async #takeCall(client, microphone) {
    const connected = client.startCall({ microphone: microphone ?? false });
    this.#call.show('starting');
    await connected;
  }

  /** Whatever stops a start is shown, and ends what it began. */
  #failed(client, problem) {
    if (client?.state === 'ended') return; // its reason is shown already
    this.#messages.problem(problem?.message || this.#texts.failed, problem?.advice);
    if (client) client.hangUp();
    else this.#arrange('ended');
  }

  /** The element has left the document. Its conversation ends, or waits for another element. */
  #gone() {
    const { client } = this;
    const starting = this.#starting.cancel(); // also while it waits for an agent, which keeps its position
    const settled = (!starting || client?.queue) && ['queued', 'live', 'resuming'].includes(client?.state);
    if (this.keep && settled && client.session?.callType !== 'webCall') {
      this.client = null;
      BlackboxRelayChat.#parked.put(keptName(this), client);
    } else {
      client?.hangUp();
      // A start that was given up before it had a client of its own is not shown for ever.
      if (starting && (!client || client.state === 'ended')) this.#arrange(client ? 'ended' : 'idle');
    }
  }

  /** Go on with a conversation that another element, or this one, has left. */
  #adopt(client) {
    this.client = client;
    serveTools(client, this.tools);
    if (this.#shown !== client) {
      this.#messages.begin();
      this.#clearEarlier();
      this.#messages.restore(client.turns);
      this.#follow(client);
      for (const asked of client.approvals) this.#events.ask(client, asked);
    }
    this.#arrange(client.state);
    if (client.queue) this.#events.position(client.queue);
  }

  #follow(client) {
    this.#shown = client;
    this.#events.follow(client);
  }

  /** What was shown of the conversation before goes, with the page's own nodes. */
  #clearEarlier() {
    for (const node of this.#messages.began()) {
      if (node.localName === 'slot') this.querySelector(`:scope > [slot="${node.name}"]`)?.remove();
    }
  }

  // ---- the panel ----

  #listen() {
    const nodes = this.#nodes;
    const on = (id, type, listener) => nodes[id].addEventListener(type, listener);
    on('chat', 'click', () => this.#starting.begin(this.#written, true));
    on('ring', 'click', () => this.#starting.begin('webCall', true));
    on('end', 'click', () => this.#endByHand());
    keepKeys(nodes.panel);
  }

  #arrange(state) {
    const talking = ['connecting', 'queued', 'live', 'resuming'].includes(state) && (this.client?.state ?? 'ended') !== 'ended';
    const hadFocus = this.shadowRoot.activeElement;
    if (state === 'ending') this.#call.show('ended');
    showState(this.#nodes, state, talking, this.#texts);
    this.#label();
    this.#composer.update();
    if (hadFocus && !hadFocus.checkVisibility()) this.#nodes[talking ? 'message' : 'panel'].focus({ preventScroll: true });
  }

  #translate() {
    this.#texts = translated(this.getAttribute('texts'));
    putTexts(this.#nodes, this.#texts, { heading: this.heading, intro: this.intro });
    this.#label();
  }

  /** The start buttons: what can be begun, or begun again. */
  #label() {
    const calls = this.callTypes.includes('webCall');
    offerStarts(this.#nodes, this.#texts, { written: this.#written, calls, again: this.#shown !== null && this.callTypes.length === 1 });
  }
}
