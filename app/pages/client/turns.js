/** Whole turns from `text` frames: no frame marks a turn's end, another speaker, a result or silence does. */

import { Joiner } from './text.js';

const KEPT = 1000;

export class Turns {
  list = []; // the latest
  count = 0;
  #turn = null;
  #joiner = null;
  #timer;
  #gap;
  #emit;

  /** `gap` in seconds of silence; `emit(type, detail)` for `text` and `turn`. */
  constructor(gap, emit) {
    this.#gap = gap;
    this.#emit = emit;
  }

  restore(turns) {
    this.list = turns.slice(-KEPT);
    this.count = this.list.at(-1)?.id ?? 0;
  }

  /** Take what the gateway says was said; returns the turns that were not known here. */
  adopt(told) {
    clearTimeout(this.#timer);
    this.#turn = this.#joiner = null;
    const last = this.list.at(-1);
    const known = told.findLastIndex(({ source, text }) => source === last?.source && text === last.text);
    const missed = known < 0 && last ? told.filter(({ at }) => Date.parse(at) > last.startedAt) : told.slice(known + 1);
    const turns = missed.map(({ source, text, at }) => {
      const time = Date.parse(at);
      return { id: ++this.count, source, text, pieces: [text], startedAt: time, endedAt: time };
    });
    this.list = [...this.list, ...turns].slice(-KEPT);
    return turns;
  }

  /** The latest turns, with what has been said of the present one. */
  snapshot(most) {
    return [...this.list, ...(this.#turn ? [{ ...this.#turn, endedAt: Date.now() }] : [])].slice(-most);
  }

  /** A `text` frame. One with content.type `potential` is not final: what comes next replaces it. */
  said(frame) {
    const content = typeof frame.content === 'string' ? { text: frame.content } : frame.content ?? {};
    const { source = 'assistant', type } = content;
    const text = typeof content.text === 'string' ? content.text : '';
    if (this.#turn && this.#turn.source !== source) this.finish();
    if (!this.#turn) {
      this.#turn = { id: this.count + 1, source, text: '', pieces: [], startedAt: Date.now(), endedAt: null };
      this.#joiner = new Joiner();
    }
    const turn = this.#turn;
    const growing = type === 'potential';
    if (growing) {
      turn.text = this.#joiner.peek(text);
    } else {
      turn.pieces.push(text);
      turn.text = this.#joiner.add(text);
    }
    this.#emit('text', { source, text, turn, frame });
    clearTimeout(this.#timer);
    if (source === 'user' && !growing) this.finish();
    else this.#timer = setTimeout(() => this.finish(), this.#gap * 1000 * (growing ? 10 : 1));
  }

  finish() {
    clearTimeout(this.#timer);
    const turn = this.#turn;
    if (!turn) return;
    this.#turn = this.#joiner = null;
    turn.endedAt = Date.now();
    this.count += 1;
    if (this.list.push(turn) > KEPT) this.list.shift();
    this.#emit('turn', turn);
  }
}
