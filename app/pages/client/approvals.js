/** Tool calls that the user approves or declines: each asked for once, and decided once. */

export class Approvals {
  #asked = new Map(); // id → {id, tool, args, deadline}, until it is settled
  #answers = new Map(); // id → what was answered
  #send;
  #emit;

  /** `send(frame)` sends it to the gateway; `emit(type, detail)` for `approval` and `approval-settled`. */
  constructor(send, emit) {
    this.#send = send;
    this.#emit = emit;
  }

  /** What is not answered yet. */
  get open() {
    return [...this.#asked.values()].filter(({ id }) => !this.#answers.has(id));
  }

  /** The gateway asks, or asks again after a resume: an answer was lost on its way then. */
  asked(request) {
    const { id } = request;
    if (this.#answers.has(id)) return this.#say(id);
    if (this.#asked.has(id)) return undefined;
    this.#asked.set(id, request);
    return this.#emit('approval', request);
  }

  /** Answer; tells whether there was anything to answer. */
  answer(id, approve) {
    if (!this.#asked.has(id) || this.#answers.has(id)) return false;
    this.#answers.set(id, approve);
    this.#say(id);
    return true;
  }

  settled({ id, approved }) {
    if (!this.#asked.delete(id)) return;
    this.#answers.delete(id);
    this.#emit('approval-settled', { id, approved });
  }

  /** The conversation is over: nothing of it can be approved any more. */
  end() {
    for (const id of [...this.#asked.keys()]) this.settled({ id, approved: false });
  }

  #say(id) {
    this.#send({ type: 'relay.approval', id, approve: this.#answers.get(id) });
  }
}
