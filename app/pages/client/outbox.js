/** Frames on their way out: waiting, paced below the gateway's rate limit, kept until they have arrived. */

import { RelayError } from './errors.js';

const HIGH_WATER = 256 * 1024; // bytes in the socket before frames wait here instead
const LOOK_AGAIN = 50; // ms

export const own = (frame) => [frame.type, frame.name].some((s) => typeof s === 'string' && s.startsWith('relay.'));
const size = (text) => new TextEncoder().encode(text).length;
const full = () => new RelayError(0, { name: 'outbox_full', retry: 'no', message: 'Too much is waiting to be sent.' });

export class Outbox {
  sent = 0; // counted frames numbered so far
  #queue = []; // not written yet: {frame, text, bytes, n}
  #kept = []; // written, not known to have arrived
  #held = []; // arrived, while no agent has them yet
  #holds = false;
  #bytes = { queue: 0, kept: 0, held: 0 };
  #tokens;
  #tokensAt = 0;
  #timer;
  #options;
  #socket; // () → the socket that may be written to, or null
  #wrote; // called with each frame once it is written

  constructor(options, socket, wrote) {
    this.#options = options;
    this.#tokens = options.frameBurst;
    this.#socket = socket;
    this.#wrote = wrote;
  }

  get waiting() {
    return this.#bytes.queue + (this.#socket()?.bufferedAmount ?? 0);
  }
  get unacknowledged() {
    return this.#bytes.kept;
  }

  /** Throws a RelayError where it is too large, or too much waits (unless `always`). */
  add(given, always = false) {
    const frame = { timestamp: new Date().toISOString(), ...given };
    const text = JSON.stringify(frame);
    const bytes = size(text);
    const { maxFrame, maxWaiting } = this.#options;
    if (bytes > maxFrame) throw new RelayError(1009);
    if (!always && this.waiting + bytes > maxWaiting) throw full();
    this.#push({ frame, text, bytes, n: own(frame) ? 0 : ++this.sent });
    this.pump();
  }

  #push(item) {
    this.#queue.push(item);
    this.#bytes.queue += item.bytes;
  }

  /** Write what waits, while the socket takes it and the rate allows; all of it if this page is `leaving`. */
  pump(leaving = false) {
    clearTimeout(this.#timer);
    const ws = this.#socket();
    while (this.#queue.length && ws?.readyState === 1) {
      if (!leaving && (ws.bufferedAmount > HIGH_WATER || !this.take())) {
        this.#timer = setTimeout(() => this.pump(), LOOK_AGAIN);
        return;
      }
      const item = this.#queue.shift();
      this.#bytes.queue -= item.bytes;
      ws.send(item.text);
      if (item.n) this.#keep(item);
      this.#wrote(item.frame);
    }
  }

  /** Take one frame's place in the gateway's rate limit, if there is one now. */
  take() {
    const { framesPerSecond, frameBurst } = this.#options;
    const now = performance.now();
    this.#tokens = Math.min(frameBurst, this.#tokens + ((now - this.#tokensAt) / 1000) * framesPerSecond);
    this.#tokensAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  pause() {
    clearTimeout(this.#timer);
  }

  #keep(item) {
    this.#kept.push(item);
    this.#bytes.kept += item.bytes;
    while (this.#bytes.kept > this.#options.maxWaiting) this.#bytes.kept -= this.#kept.shift().bytes;
  }

  /** While no agent has what arrives, it is held, to be said again in another conversation. */
  hold(holds) {
    this.#holds = holds;
    if (!holds) this.#forgetHeld();
  }

  #hold(item) {
    this.#held.push(item);
    this.#bytes.held += item.bytes;
    while (this.#bytes.held > this.#options.maxWaiting) this.#bytes.held -= this.#held.shift().bytes;
  }

  #forgetHeld() {
    this.#held = [];
    this.#bytes.held = 0;
  }

  /** The gateway has the first `count` frames; is the rest here without a gap? */
  arrived(count) {
    while (this.#kept.length && this.#kept[0].n <= count) {
      const item = this.#kept.shift();
      this.#bytes.kept -= item.bytes;
      if (this.#holds) this.#hold(item);
    }
    const next = this.#kept[0] ?? this.#queue.find((item) => item.n);
    return count <= this.sent && (next ? next.n === count + 1 : this.sent === count);
  }

  /** Write again what was written and did not arrive; how many frames that is. */
  again() {
    const again = this.#kept.length;
    this.#queue = [...this.#kept, ...this.#queue];
    this.#bytes.queue += this.#bytes.kept;
    this.#bytes.kept = 0;
    this.#kept = [];
    return again;
  }

  /** Counts begin anew with `first`, then what is still to be said if `carry`. */
  restart(first, carry) {
    const waiting = carry || this.#holds ? [...this.#held, ...this.#kept, ...this.#queue].filter((item) => item.frame.type !== 'initialize' && !item.old) : [];
    this.#queue = [];
    this.#kept = [];
    this.#forgetHeld();
    this.#bytes.queue = this.#bytes.kept = 0;
    this.sent = 0;
    this.add(first, true);
    for (const item of waiting) this.#push({ ...item, n: item.n && ++this.sent });
  }

  /** What a later page needs to go on: counts, and texts that are not known to have arrived. */
  snapshot() {
    return { sent: this.sent, texts: [...this.#kept, ...this.#queue].map(({ text, n }) => [n, text]) };
  }

  restore({ sent, texts }) {
    this.sent = sent;
    for (const [n, text] of texts) this.#push({ frame: JSON.parse(text), text, bytes: size(text), n, old: true });
  }

  /** Go on behind the first `count` frames, whatever an earlier page knew of them. */
  adopt(count) {
    const left = [...this.#kept, ...this.#queue].filter(({ n }) => !n || n > count);
    this.#queue = [];
    this.#kept = [];
    this.#bytes.queue = this.#bytes.kept = 0;
    this.sent = count;
    for (const item of left) this.#push({ ...item, n: item.n && ++this.sent });
  }
}
