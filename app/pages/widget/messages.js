/** The conversation as it is shown: bubbles, notes, problems, and where the reader is in them. */

import { element, make } from './dom.js';
import { GrowingText } from './text.js';

const JUST_NOW = 600; // ms before a busy agent is shown as writing
const NEAR = 48; // px from the end that count as the end
const SPOKEN = 5; // lines kept for screen readers

/** An echo is the same text although white space or its composition differ (Unicode NFKC). */
const folded = (text) => text.normalize('NFKC').replace(/\s+/g, ' ').trim();

export class Messages {
  #log;
  #spoken;
  #newer;
  #texts;
  #open = new Map(); // id of a turn that is being said → {turn, text}; several while some are not final
  #latest = 0; // id of the newest turn that is shown
  #waiting = []; // {text, bubble}: typed, and not echoed yet
  #typing = null;
  #timer;
  #earlier = []; // nodes of the conversation before; they go when the next one is live
  #following = true;
  #height = null; // of the log, where its place was last looked at

  /** `nodes` are the panel's, by id; `texts` gives the texts of now. */
  constructor({ log, spoken, newer }, texts) {
    this.#log = log;
    this.#spoken = spoken;
    this.#newer = newer;
    this.#texts = texts;
    newer.addEventListener('click', () => {
      this.scroll();
      log.focus({ preventScroll: true });
    });
    log.addEventListener('scroll', () => {
      if (this.#isResized) return; // not by the reader: what follows is the observer's
      this.#following = this.#atEnd();
      if (this.#following) newer.hidden = true;
    }, { passive: true });
    // A keypad or a virtual keyboard that opens takes nobody away from the end.
    if (!globalThis.ResizeObserver) return;
    new ResizeObserver(() => {
      this.#height = log.clientHeight;
      if (this.#following) this.scroll();
    }).observe(log);
  }

  /** A conversation is begun: what is here stays until that one is live. */
  begin() {
    this.#earlier = [...this.#log.children];
    this.#open.clear();
    this.#latest = 0;
    this.#waiting = [];
    this.stopTyping();
  }

  /** The conversation is live: what was before it goes. The removed nodes are the result. */
  began() {
    const gone = this.#earlier;
    this.#earlier = [];
    for (const node of gone) node.remove();
    this.#newer.hidden = true;
    return gone;
  }

  /** What the person typed. It scrolls: they want to see it. */
  typed(text) {
    const bubble = this.#bubble({ source: 'user', text }).turn;
    bubble.classList.add('waiting');
    this.#waiting.push({ text: folded(text), bubble });
    this.scroll();
  }

  /** A piece of a turn came; `turn.text` is what was said so far, `turn.final` whether that may still change. */
  piece(source, turn) {
    if (source !== 'user' || turn.final) this.stopTyping();
    this.#latest = Math.max(this.#latest, turn.id);
    if (source === 'user' && this.#typed(turn)) return;
    if (source !== 'user') for (const { bubble } of this.#waiting) bubble.classList.remove('waiting');
    const shown = this.#open.get(turn.id) ?? this.#bubble(turn);
    if (this.#open.has(turn.id)) this.#changing(() => shown.text.update(turn.text));
    shown.turn.classList.toggle('partial', !turn.final);
    if (source === 'user' && turn.final) this.#open.delete(turn.id);
    else this.#open.set(turn.id, shown);
  }

  /** Whether this is the echo of what was typed, or its beginning: that has its bubble already. */
  #typed(turn) {
    const wanted = folded(turn.text);
    if (!turn.final) return !this.#open.has(turn.id) && this.#waiting.some(({ text }) => text.startsWith(wanted));
    const at = this.#waiting.findIndex(({ text }) => text === wanted);
    if (at < 0) return false;
    for (const { bubble } of this.#waiting.splice(0, at + 1)) bubble.classList.remove('waiting');
    this.withdraw(turn);
    return true;
  }

  /** No final text of a turn came: it was not said. */
  withdraw(turn) {
    this.#open.get(turn.id)?.turn.remove();
    this.#open.delete(turn.id);
  }

  /** A turn is whole: a screen reader hears it once. One that began before this log did is shown now. */
  whole(turn) {
    if (turn.id > this.#latest) this.restore([turn]);
    const shown = this.#open.get(turn.id);
    this.#open.delete(turn.id);
    if (shown) this.#changing(() => shown.text.update(turn.text), false);
    shown?.turn.classList.remove('partial');
    if (turn.source === 'user') return;
    this.speak(`${this.#speaker(turn.speaker)}: ${turn.text}`);
  }

  /** Turns of a conversation that goes on after a reload, or that was joined; what was typed here has its bubble already. */
  restore(turns) {
    for (const turn of turns) {
      if (turn.source !== 'user' || !this.#typed(turn)) this.#bubble(turn);
    }
    this.#latest = turns.at(-1)?.id ?? this.#latest;
    this.scroll();
  }

  #bubble({ source, speaker, text }) {
    const turn = make('div', `turn ${source === 'user' ? 'user' : 'assistant'}`);
    turn.dataset.speaker = speaker ?? (source === 'user' ? 'user' : 'agent');
    if (this.#last()?.dataset.speaker === turn.dataset.speaker) turn.classList.add('same');
    turn.append(make('span', 'spoken', `${this.#speaker(turn.dataset.speaker)}: `));
    const bubble = element('p', { class: 'bubble', part: 'bubble', dir: 'auto' });
    turn.append(bubble);
    const growing = new GrowingText(bubble, text);
    this.add(turn);
    return { turn, text: growing };
  }

  /** Who spoke, in words. */
  #speaker(speaker) {
    const { you, agent, person } = this.#texts();
    return { user: you, operator: person }[speaker] ?? agent;
  }

  note(text) {
    const last = this.#last();
    if (last?.className === 'note' && last.textContent === text) return;
    this.add(element('p', { class: 'note', dir: 'auto' }, text));
    this.speak(text);
  }

  /** Something failed: what, and what to do about it. */
  problem(message, advice) {
    const box = element('div', { class: 'problem', role: 'alert' }, element('p', { dir: 'auto' }, message));
    if (advice) box.append(element('p', { dir: 'auto' }, advice));
    this.add(box);
  }

  /** Put a node at the end; a reader who is elsewhere stays there, and is told of it. */
  add(node) {
    this.#changing(() => {
      this.#log.append(node);
      if (this.#typing?.isConnected && node !== this.#typing) this.#log.append(this.#typing);
    }, node !== this.#typing);
    return node;
  }

  /** The agent is busy: after a moment it is shown as writing, if `still` holds. */
  expectAnswer(still) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!still()) return;
      this.#typing = element('div', { class: 'turn assistant' },
        element('div', { class: 'bubble typing', role: 'img', 'aria-label': this.#texts().typing }, make('i'), make('i'), make('i')));
      this.add(this.#typing);
    }, JUST_NOW);
  }

  stopTyping() {
    clearTimeout(this.#timer);
    this.#typing?.remove();
    this.#typing = null;
  }

  scroll() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#following = true;
    this.#newer.hidden = true;
  }

  speak(text) {
    this.#spoken.append(make('p', '', text));
    if (this.#spoken.childElementCount > SPOKEN) this.#spoken.firstElementChild.remove();
  }

  #last() {
    const last = this.#log.lastElementChild;
    return last === this.#typing ? last?.previousElementSibling : last;
  }

  /** The log has another height than at the last look: it may have scrolled by that. */
  get #isResized() {
    return this.#height !== null && this.#height !== this.#log.clientHeight;
  }

  #atEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR;
  }

  /** Follow the end only for a reader who was there before the change. */
  #changing(change, news = true) {
    const follow = this.#isResized ? this.#following : this.#atEnd();
    change();
    if (follow) this.scroll();
    else if (news) this.#newer.hidden = false;
  }
}
