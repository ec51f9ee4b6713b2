/** Notices a socket that is dead although nobody said so: no bytes come, and none are acknowledged. */

const QUIET_AFTER_SENDING = 3;
const LATE = 2; // seconds: this timer itself was held up (a laptop that slept), so nothing is proven
const ANSWER_AT_MOST = 30;
const UNACKNOWLEDGED = 128 * 1024; // bytes

export class Heartbeat {
  #options;
  #timer;
  #due = 0;
  #heardAt = 0;
  #sentAt = 0; // of the first frame since something was heard
  #pingedAt = 0; // of the ping that is unanswered
  #buffered = 0;
  #deaths = 0; // in a row, without an answer to a ping in between
  #running = false;
  #answered = false;

  /** `ping()` sends one and tells whether it did, `buffered()` is what waits in the socket, `dead()` is told. */
  constructor(options) {
    this.#options = options; // {quiet, answer: () => seconds, ping, buffered, dead}
  }

  start() {
    this.#running = this.#options.quiet > 0;
    this.#heardAt = performance.now();
    this.#sentAt = this.#pingedAt = 0;
    this.#plan();
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  heard() {
    this.#heardAt = performance.now();
    this.#sentAt = 0;
  }

  answered() {
    this.#pingedAt = 0;
    this.#deaths = 0;
    this.#answered = true;
    this.#plan();
  }

  /** An older gateway does not know pings; tell whether that is what it said. */
  refused() {
    if (!this.#pingedAt || this.#answered) return false;
    this.#options.quiet = 0;
    this.stop();
    return true;
  }

  sent(unacknowledged) {
    if (!this.#running) return;
    if (unacknowledged > UNACKNOWLEDGED) this.probe();
    if (this.#sentAt || this.#pingedAt) return;
    this.#sentAt = performance.now();
    this.#plan();
  }

  /** Ask now: this page was hidden, or the network has changed. */
  probe() {
    if (!this.#running || this.#pingedAt || !this.#options.ping()) return;
    this.#pingedAt = performance.now();
    this.#buffered = this.#options.buffered();
    this.#plan();
  }

  #answerWithin() {
    return Math.min(ANSWER_AT_MOST, this.#options.answer() * 2 ** this.#deaths);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (!this.#running) return;
    const from = this.#pingedAt || this.#sentAt || this.#heardAt;
    const seconds = this.#pingedAt ? this.#answerWithin() : this.#sentAt ? QUIET_AFTER_SENDING : this.#options.quiet;
    this.#due = Math.max(from + seconds * 1000, performance.now() + 50);
    this.#timer = setTimeout(() => this.#look(), this.#due - performance.now());
  }

  #look() {
    const now = performance.now();
    if (!this.#pingedAt) {
      const quiet = (now - this.#heardAt) / 1000 >= this.#options.quiet - 0.01;
      if (quiet || this.#sentAt) this.probe();
      if (this.#pingedAt) return;
      this.#heardAt = Math.max(this.#heardAt, now - (this.#options.quiet - 1) * 1000); // no place for a ping: soon
      return void this.#plan();
    }
    const buffered = this.#options.buffered();
    const alive = this.#heardAt > this.#pingedAt || buffered < this.#buffered || now - this.#due > LATE * 1000;
    this.#buffered = buffered;
    if (alive) {
      this.#pingedAt = now;
      return void this.#plan();
    }
    this.#deaths += 1;
    this.stop();
    this.#options.dead();
  }
}
