/**
 * Whole turns from `text` frames: no frame marks a turn's end, another speaker, a result or silence does.
 *
 * A text with content.type `potential` is partial: the next text of its source replaces it. It begins no
 * turn of the list and ends none; only final texts do.
 */

import { Joiner } from './text.js';

const KEPT = 1000;
const PARTIAL_SOURCES = 8; // speakers with a partial text at a time; a further one replaces the oldest
const PARTIAL_WAIT = 10; // times the gap that a final text is waited for

/**
 * How many turns of `told` are known from `list`: those up to the longest run that ends `list`; of runs of one
 * length the earliest, because a turn shown twice is better than one lost.
 */
function knownOf(told, list) {
  let known = 0;
  let longest = 0;
  for (let end = 1; end <= told.length; end += 1) {
    let run = 0;
    while (run < end && run < list.length && same(told[end - 1 - run], list[list.length - 1 - run])) run += 1;
    if (run > longest) [known, longest] = [end, run];
  }
  return known;
}

const speakerOf = (source, named) => {
  if (source !== 'assistant') return source;
  return named === 'operator' || named === 'backend' ? named : 'agent';
};

const same = (one, other) => one.source === other.source && one.text === other.text;

export class Turns {
  list = []; // the latest
  count = 0;
  #last = 0; // id of the newest turn, shown or whole
  #turn = null; // it has final texts, and may get more
  #joiner = null;
  #timer;
  #partial = new Map(); // speaker → {turn, timer}: turns without a final text yet
  #gap;
  #emit;

  /** `gap` in seconds of silence; `emit(type, detail)` for `text`, `turn`, `withdrawn`, `history` and `restored`. */
  constructor(gap, emit) {
    this.#gap = gap;
    this.#emit = emit;
  }

  restore(turns) {
    this.list = turns.slice(-KEPT);
    this.#last = this.list.at(-1)?.id ?? 0;
    this.count = this.list.length;
    this.#emit('restored', { turns: this.list });
  }

  /** What was said in a chat that was joined; a page that had been in it is told what it missed. */
  joined(told) {
    const first = this.count === 0;
    const missed = this.adopt(told);
    this.#emit('history', { turns: this.list });
    if (first) this.#emit('restored', { turns: this.list });
    else for (const turn of missed) this.#emit('turn', turn);
  }

  /** Take what the gateway says was said; returns the turns that were not known here. */
  adopt(told) {
    this.#withdrawOpen();
    const last = this.list.at(-1);
    const known = knownOf(told, this.list);
    const missed = !known && last ? told.filter(({ at }) => Date.parse(at) > last.startedAt) : told.slice(known);
    const turns = missed.map(({ source, speaker, text, at }) => {
      const time = Date.parse(at);
      return { ...this.#begun(source, speakerOf(source, speaker), true), text, pieces: [text], startedAt: time, endedAt: time };
    });
    this.count += turns.length;
    this.list = [...this.list, ...turns].slice(-KEPT);
    return turns;
  }

  /** The latest turns, with what has been said for certain of the present one. */
  snapshot(most) {
    const { text } = this.#joiner ?? {};
    return [...this.list, ...(this.#turn ? [{ ...this.#turn, text, final: true, endedAt: Date.now() }] : [])].slice(-most);
  }

  /** A `text` frame. */
  said(frame) {
    const content = typeof frame.content === 'string' ? { text: frame.content } : frame.content ?? {};
    const { source = 'assistant', type } = content;
    const text = typeof content.text === 'string' ? content.text : '';
    const speaker = speakerOf(source, content.speaker);
    const turn = type === 'potential' ? this.#grown(source, speaker, text) : this.#added(source, speaker, text);
    this.#emit('text', { source, speaker, text, turn, frame });
    if (source === 'user' && turn === this.#turn && turn.final) this.#close();
  }

  /** The conversation is over, or its text: what is not final by now never will be. */
  finish() {
    this.#close();
    for (const speaker of [...this.#partial.keys()]) this.#withdraw(speaker);
  }

  /** A partial text: shown behind what is final, and replaced by what comes next. */
  #grown(source, speaker, text) {
    if (this.#turn?.speaker === speaker) {
      this.#turn.text = this.#joiner.peek(text);
      this.#turn.final = false;
      this.#wait(PARTIAL_WAIT);
      return this.#turn;
    }
    let open = this.#partial.get(speaker);
    if (!open) {
      if (this.#partial.size >= PARTIAL_SOURCES) this.#withdraw(this.#partial.keys().next().value);
      open = { turn: this.#begun(source, speaker, false) };
      this.#partial.set(speaker, open);
    }
    open.turn.text = text;
    clearTimeout(open.timer);
    open.timer = setTimeout(() => this.#withdraw(speaker), this.#gap * 1000 * PARTIAL_WAIT);
    return open.turn;
  }

  /** A final text: it ends the turn of another speaker, and takes the place of its own partial text. */
  #added(source, speaker, text) {
    if (this.#turn && this.#turn.speaker !== speaker) this.#close();
    if (!this.#turn) {
      const open = this.#partial.get(speaker);
      clearTimeout(open?.timer);
      this.#partial.delete(speaker);
      this.#turn = open?.turn ?? this.#begun(source, speaker, true);
      this.#joiner = new Joiner();
      // The turn has changed: what was begun before it, and not finished, was broken off.
      for (const [other, { turn }] of [...this.#partial]) if (turn.id < this.#turn.id) this.#withdraw(other);
    }
    const turn = this.#turn;
    turn.pieces.push(text);
    turn.text = this.#joiner.add(text);
    turn.final = true;
    this.#wait(1);
    return turn;
  }

  #begun(source, speaker, final) {
    this.#last += 1;
    return { id: this.#last, source, speaker, text: '', pieces: [], final, startedAt: Date.now(), endedAt: null };
  }

  #wait(gaps) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#close(), this.#gap * 1000 * gaps);
  }

  #close() {
    clearTimeout(this.#timer);
    const turn = this.#turn;
    if (!turn) return;
    turn.text = this.#joiner.text;
    turn.final = true;
    turn.endedAt = Date.now();
    this.#turn = this.#joiner = null;
    this.count += 1;
    if (this.list.push(turn) > KEPT) this.list.shift();
    this.#emit('turn', turn);
  }

  /** What is open is told as a turn, or comes once more: it is not to be shown twice. */
  #withdrawOpen() {
    clearTimeout(this.#timer);
    const turn = this.#turn;
    this.#turn = this.#joiner = null;
    if (turn) {
      turn.endedAt = Date.now();
      this.#emit('withdrawn', turn);
    }
    for (const speaker of [...this.#partial.keys()]) this.#withdraw(speaker);
  }

  #withdraw(speaker) {
    const { turn, timer } = this.#partial.get(speaker);
    clearTimeout(timer);
    this.#partial.delete(speaker);
    turn.endedAt = Date.now();
    this.#emit('withdrawn', turn);
  }
}

/** The turns as they become whole, for a `for await` over a client; throws the RelayError of an end that was not normal. */
export async function* wholeTurns(turns, client) {
  let next = 0;
  for (;;) {
    const dropped = turns.count - turns.list.length;
    next = Math.max(next, dropped);
    if (next < turns.count) {
      yield turns.list[next++ - dropped];
    } else if (client.state === 'ended') {
      if (client.reason.code !== 1000) throw client.reason;
      return;
    } else {
      let offs;
      await new Promise((wake) => (offs = ['turn', 'restored', 'ended'].map((type) => client.on(type, wake))));
      for (const off of offs) off();
    }
  }
}
