/** One start at a time, and everything that it opens ends with it. */

const stop = (stream) => stream?.getTracks().forEach((track) => track.stop());

/**
 * The start of a conversation, as steps between which it may be given up: the earlier conversation
 * ends, the microphone is asked for (calls only: nobody pays for an agent that waits for a prompt),
 * the client connects, the call is taken. Asked again for the same call type, it is the same start;
 * asked for another, the earlier start is given up.
 */
export class Starting {
  #now = null; // {callType, byHand, client, done}
  #steps;

  /** `steps` has begun(), earlier(), present(), microphone(), connect(callType), call(client, microphone), done(byHand), failed(client, problem). */
  constructor(steps) {
    this.#steps = steps;
  }

  get isUnderWay() {
    return this.#now !== null;
  }

  /** Is it this client that is being started? */
  owns(client) {
    return this.#now !== null && this.#now.client === client;
  }

  begin(callType, byHand) {
    if (this.#now?.callType === callType) return this.#now.done;
    const start = (this.#now = { callType, byHand, client: null });
    start.done = this.#run(start);
    return start.done;
  }

  /** Give up the start that is under way: it stops what it opened, and says nothing. */
  cancel() {
    const was = this.#now;
    this.#now = null;
    return was !== null;
  }

  async #run(start) {
    const steps = this.#steps;
    let microphone = null;
    const goesOn = async () => {
      await steps.present();
      return this.#now === start;
    };
    steps.begun();
    try {
      await steps.earlier();
      if (!(await goesOn())) return;
      if (start.callType === 'webCall') microphone = await steps.microphone();
      if (!(await goesOn())) return;
      start.client = steps.connect(start.callType);
      await start.client.open();
      if (!(await goesOn())) return;
      if (start.callType === 'webCall') await steps.call(start.client, microphone);
      microphone = null; // the call's own now
      if (this.#now === start) steps.done(start.byHand);
    } catch (problem) {
      if (this.#now === start) steps.failed(start.client, problem);
    } finally {
      stop(microphone);
      if (this.#now === start) this.#now = null;
    }
  }
}

/** Whether an element is in the document, or out of it for a moment only, as while a page moves it. */
export class Presence {
  #absence = null; // {settled, settle, timer}
  #grace;
  #gone;

  /** `gone` is called for an element that stayed out of the document for `grace` milliseconds. */
  constructor(grace, gone) {
    this.#grace = grace;
    this.#gone = gone;
  }

  left() {
    if (this.#absence) return;
    const absence = (this.#absence = {});
    absence.settled = new Promise((settle) => (absence.settle = settle));
    absence.timer = setTimeout(() => {
      this.#gone();
      this.back();
    }, this.#grace);
  }

  back() {
    clearTimeout(this.#absence?.timer);
    this.#absence?.settle();
    this.#absence = null;
  }

  /** Resolves once it is known: the element is back, or `gone` has been called. */
  async settled() {
    await this.#absence?.settled;
  }
}
