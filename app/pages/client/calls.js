/** The calls of a conversation, one at a time: the agent's offer may come before the page takes it, or after. */

import { Call } from './call.js';
import { CallProblem } from './errors.js';

export class Calls {
  current = null;
  muted = false; // whether the microphone is, or will be
  #invite = null; // not answered yet
  #options;
  #tell;

  /** `tell` has changed(state, problem), answer(sdp, channelId) and event(type, detail), as Call's. */
  constructor(options, tell) {
    this.#options = options;
    this.#tell = tell;
  }

  /** Resolves when audio is connected, rejects with a CallProblem. */
  take(options) {
    if (this.#isGoingOn) return this.current.connected;
    const call = (this.current = new Call({ ...this.#options, ...options, muted: this.muted }, this.#tell));
    call.start();
    const invite = this.#invite;
    this.#invite = null;
    if (invite) call.invited(invite);
    return call.connected;
  }

  get #isGoingOn() {
    return this.current !== null && this.current.state !== 'ended';
  }

  /** The agent offers a call. */
  invited(frame) {
    if (this.#isGoingOn) this.current.invited(frame);
    else this.#invite = frame;
  }

  mute(muted) {
    this.muted = muted;
    if (this.#isGoingOn) this.current.mute(muted);
  }

  dtmf(keys, duration, gap) {
    if (!this.current) throw new CallProblem('no-dtmf');
    this.current.dtmf(keys, duration, gap);
  }

  async setMicrophone(microphone) {
    this.#options.microphone = microphone;
    await this.current?.setMicrophone(microphone);
  }

  async setSpeaker(deviceId) {
    this.#options.speaker = deviceId;
    await this.current?.setSpeaker(deviceId);
  }

  /** How loud it is, 0 to 1. */
  levels() {
    return this.current?.levels() ?? { microphone: 0, speaker: 0 };
  }

  stop() {
    this.current?.stop();
  }

  /** The conversation is another one: neither call nor offer goes on. */
  forget() {
    this.stop();
    this.current = this.#invite = null;
  }
}
