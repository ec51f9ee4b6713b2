/** The controls of a call: time, levels, microphone, keypad, devices, and sound that the browser holds back. */

import { RelayClient } from '../client.js';
import { label } from './dom.js';

/** Buttons that open something, and what; there is room for one at a time. */
const DISCLOSED = Object.freeze({ pad: 'keys', choose: 'devices' });

export class CallControls {
  #nodes;
  #texts;
  #client; // gives the client of now, or null
  #problem;
  #frame = 0;
  #play = () => {};
  #answered = 0; // when the audio connected first, in ms since the epoch; 0: not yet

  /** `problem(message, advice)` shows what failed. */
  constructor(nodes, { texts, client, problem, hangUp }) {
    this.#nodes = nodes;
    this.#texts = texts;
    this.#client = client;
    this.#problem = problem;
    const on = (id, type, listener) => nodes[id].addEventListener(type, listener);
    on('hang', 'click', hangUp);
    on('mute', 'click', () => (this.#isMuted ? client()?.unmute() : client()?.mute()));
    for (const button of Object.keys(DISCLOSED)) on(button, 'click', () => this.#disclose(button));
    on('hear', 'click', () => this.#try(this.#hear()));
    on('mics', 'change', ({ target }) => this.#try(client()?.setMicrophone(target.value)));
    on('speakers', 'change', ({ target }) => this.#try(client()?.setSpeaker(target.value)));
    for (const button of nodes.keys.children) {
      button.addEventListener('click', () => this.#try(Promise.resolve().then(() => client()?.dtmf(button.textContent))));
    }
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', () => nodes.devices.checkVisibility?.() && this.#try(this.#listDevices()));
  }

  get #isMuted() {
    const client = this.#client();
    return Boolean(client?.muted ?? client?.call?.muted);
  }

  /** Show a call's state, or that there is none ('ended'). */
  show(state) {
    const { call, mute, hear } = this.#nodes;
    const inCall = state !== 'ended';
    const muted = this.#isMuted;
    call.hidden = !inCall;
    mute.setAttribute('aria-pressed', muted);
    label(mute, this.#texts()[muted ? 'unmute' : 'mute']);
    if (state === 'connected' && !this.#answered) this.#answered = Date.now();
    if (!inCall) {
      this.#answered = 0;
      hear.hidden = true;
      this.#disclose(null);
    }
    if (inCall) this.animate();
  }

  /** The browser plays no sound before a gesture: offer one. `play` is the client's own attempt, if it gives one. */
  soundBlocked(play) {
    const { hear } = this.#nodes;
    const audio = this.#client()?.call?.audio;
    this.#play = play ?? (() => audio?.play());
    hear.hidden = false;
    audio?.addEventListener('playing', () => (hear.hidden = true), { once: true });
  }

  async #hear() {
    await this.#play();
    this.#nodes.hear.hidden = true;
  }

  /** Levels and time, once per animation frame while the call lasts and the element is shown. */
  animate() {
    cancelAnimationFrame(this.#frame);
    const client = this.#client();
    const { mine, theirs, time, call } = this.#nodes;
    if (!client || call.hidden || !time.isConnected) {
      this.#frame = 0;
      return;
    }
    const { microphone, speaker } = client.levels();
    const shown = (level) => Math.min(1, Math.sqrt(level) * 1.6).toFixed(3);
    mine.style.setProperty('--level', shown(microphone));
    theirs.style.setProperty('--level', shown(speaker));
    const now = this.#now(client.call ?? {});
    if (time.textContent !== now) time.textContent = now;
    this.#frame = requestAnimationFrame(() => this.animate());
  }

  #now({ state, muted }) {
    const t = this.#texts();
    const seconds = this.#answered ? Math.floor((Date.now() - this.#answered) / 1000) : 0;
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    return { connected: `${muted ? t.muted : t.inCall} · ${clock}`, interrupted: t.interrupted }[state] ?? t.calling;
  }

  #disclose(wanted) {
    for (const [button, what] of Object.entries(DISCLOSED)) {
      const open = button === wanted && this.#nodes[what].hidden;
      this.#nodes[what].hidden = !open;
      this.#nodes[button].setAttribute('aria-expanded', open);
    }
    this.#nodes.call.classList.toggle('dialling', !this.#nodes.keys.hidden);
    if (!this.#nodes.devices.hidden) this.#try(this.#listDevices());
  }

  async #listDevices() {
    const { microphones, speakers } = await RelayClient.devices();
    const fill = (select, devices) => {
      const chosen = select.value;
      const options = devices.map((device, at) => new Option(device.label || `${this.#texts().standard} ${at + 1}`, device.deviceId));
      select.replaceChildren(...(options.length ? options : [new Option(this.#texts().standard, '')]));
      if (devices.some((device) => device.deviceId === chosen)) select.value = chosen;
    };
    const { mics, speakers: outputs } = this.#nodes;
    outputs.parentElement.hidden = !speakers.length;
    fill(mics, microphones);
    fill(outputs, 'setSinkId' in HTMLMediaElement.prototype ? speakers : []);
  }

  async #try(attempt) {
    try {
      await attempt;
    } catch (problem) {
      this.#problem(problem.message, problem.advice);
    }
  }
}
