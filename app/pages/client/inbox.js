/** Counts what arrives, and confirms it now and then: the gateway keeps the rest for a resume. */

const CONFIRM = { frames: 16, characters: 32 * 1024, after: 500 };

export class Inbox {
  received = 0;
  #confirmed = 0;
  #characters = 0; // since the last confirmation
  #timer;
  #send;

  /** `send(count)` confirms, and tells whether that went out. */
  constructor(send) {
    this.#send = send;
  }

  restart(received = 0) {
    this.pause();
    this.received = this.#confirmed = received;
  }

  /** All that has arrived is known: a resume has said so. */
  known() {
    this.#confirmed = this.received;
  }

  count(text) {
    this.received += 1;
    this.#characters += text.length;
    if (this.received - this.#confirmed >= CONFIRM.frames || this.#characters >= CONFIRM.characters) {
      // What this frame says comes first: a later page must find it among the turns.
      queueMicrotask(() => this.confirm());
    } else {
      this.#timer ??= setTimeout(() => this.confirm(), CONFIRM.after);
    }
  }

  confirm() {
    this.pause();
    if (this.received === this.#confirmed || !this.#send(this.received)) return;
    this.#confirmed = this.received;
    this.#characters = 0;
  }

  pause() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
