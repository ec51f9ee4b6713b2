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
