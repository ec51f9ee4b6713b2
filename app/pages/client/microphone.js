/** Opens microphones, and finds the next best one. */

import { CallProblem } from './errors.js';
import { Closed, Scope, stopTracks } from './scope.js';

const PROBLEMS = {
  NotAllowedError: { message: 'The microphone is not allowed on this page.', advice: 'Allow it in the address bar, and call again.' },
  NotReadableError: { message: 'The microphone is in use.', advice: 'Close what uses it, or choose another one.' },
  SecurityError: { message: 'This page may not use the microphone.', advice: 'Serve it over HTTPS.' },
};
const GONE = ['OverconstrainedError', 'NotFoundError'];
const opened = new WeakMap(); // stream → {wanted, fellBack}: streams of this module's, not of the page's

const isStream = (wanted) => Boolean(globalThis.MediaStream && wanted instanceof MediaStream);

async function open(wanted) {
  if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
  const audio = typeof wanted === 'string' ? (wanted ? { deviceId: { exact: wanted } } : true) : wanted ?? true;
  return navigator.mediaDevices.getUserMedia({ audio });
}

/** The stream for what is wanted, or null for `false`. A device that is gone gives way to the default one. */
export async function openMicrophone(wanted) {
  if (wanted === false || isStream(wanted)) return wanted || null;
  let fellBack = false;
  try {
    const stream = await open(wanted).catch((error) => {
      const device = typeof wanted === 'string' ? wanted : wanted?.deviceId;
      if (!device || !GONE.includes(error.name)) throw error;
      fellBack = true;
      return open(withoutDevice(wanted));
    });
    opened.set(stream, { wanted: fellBack ? withoutDevice(wanted) : wanted, fellBack });
    return stream;
  } catch (cause) {
    throw new CallProblem('no-microphone', { cause, ...PROBLEMS[cause.name] });
  }
}

const withoutDevice = (wanted) => (typeof wanted === 'object' && wanted ? { ...wanted, deviceId: undefined } : true);

const labelOf = (stream) => stream?.getAudioTracks()[0]?.label ?? '';

/** The microphone of a call: muted from the first sample, changed in turn, replaced when it is lost. */
export class Microphone {
  stream = null;
  #muted;
  #scope;
  #changes = Promise.resolve();
  #use; // async (stream): put it into the call
  #tell; // (type, detail)

  constructor(scope, muted, use, tell) {
    this.#scope = scope;
    this.#muted = muted;
    this.#use = use;
    this.#tell = tell;
    scope.own(() => stopTracks(this.stream));
    scope.listen(globalThis.navigator?.mediaDevices, 'devicechange', () => this.#lost && this.#replace(true));
  }
  #lost = false;

  get track() {
    return this.stream?.getAudioTracks()[0] ?? null;
  }

  /** For the first stream of a call: nothing is in the call yet. */
  async open(wanted) {
    await this.#take(await this.#scope.wait(openMicrophone(wanted), stopTracks));
  }

  mute(muted) {
    this.#muted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Change to another one; the old one goes on until the new one is there, if both may be open. */
  change(wanted) {
    const done = this.#changes.then(() => this.#change(wanted));
    this.#changes = done.catch(() => {});
    return done.catch((problem) => {
      if (!(problem instanceof Closed) && !this.#scope.closed) throw problem;
    });
  }

  async #change(wanted) {
    if (this.#scope.closed) return;
    const before = this.stream;
    let stream;
    try {
      stream = await this.#scope.wait(openMicrophone(wanted), stopTracks);
    } catch (problem) {
      const known = opened.get(before);
      if (problem.cause?.name !== 'NotReadableError' || !known) throw problem;
      // Only one may be open here at a time: close the old one, and open it again if that is no help.
      stopTracks(before);
      try {
        stream = await this.#scope.wait(openMicrophone(wanted), stopTracks);
      } catch {
        await this.#take(await this.#scope.wait(openMicrophone(known.wanted), stopTracks));
        throw problem;
      }
    }
    await this.#take(stream);
  }

  async #take(stream) {
    const before = this.stream;
    this.stream = stream;
    this.#lost = false;
    this.mute(this.#muted);
    if (this.#scope.closed) return stopTracks(stream);
    for (const track of stream?.getAudioTracks() ?? []) {
      track.addEventListener('ended', () => this.stream === stream && !this.#scope.closed && this.#ended(stream));
    }
    try {
      await this.#use(stream);
    } catch (error) {
      if (!this.#scope.closed) throw error;
    } finally {
      if (before !== stream) stopTracks(before);
    }
    if (opened.get(stream)?.fellBack) this.#tell('microphone-changed', { why: 'not-found', label: labelOf(stream) });
    return undefined;
  }

  /** It was unplugged, or its permission was taken away. */
  #ended(stream) {
    this.#lost = true;
    if (opened.has(stream)) this.#replace(withoutDevice(opened.get(stream).wanted));
    else this.#gone(); // a stream of the page's own: the page knows what comes next
  }

  #replace(wanted) {
    this.#changes = this.#changes
      .then(async () => {
        if (!this.#lost || this.#scope.closed) return;
        await this.#take(await this.#scope.wait(openMicrophone(wanted), stopTracks));
        this.#tell('microphone-changed', { why: 'unplugged', label: labelOf(this.stream) });
      })
      .catch((cause) => this.#gone(cause));
  }

  #gone(cause) {
    if (!this.#scope.closed) this.#tell('microphone-lost', new CallProblem('microphone-lost', { cause }));
  }
}

/** Open one before there is a call; given up when `signal` aborts. */
export async function openUnlessAborted(wanted, signal, reason) {
  const scope = new Scope();
  scope.listen(signal, 'abort', () => scope.close(reason()));
  if (signal?.aborted) throw reason();
  try {
    return await scope.wait(openMicrophone(wanted), stopTracks);
  } finally {
    scope.close();
  }
}

/** Labelled once the microphone was allowed. */
export async function devices() {
  const all = (await globalThis.navigator?.mediaDevices?.enumerateDevices()) ?? [];
  const of = (kind) => all.filter((device) => device.kind === kind);
  return { microphones: of('audioinput'), speakers: of('audiooutput') };
}
