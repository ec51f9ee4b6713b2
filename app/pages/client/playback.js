/** Plays what the agent says, also where a browser wants a gesture first. */

const GESTURES = ['pointerup', 'click', 'touchend', 'keydown'];

export class Playback {
  audio = new Audio(); // WebAudio hears a remote stream only while an element plays it
  #scope;
  #blocked = false;
  #told;

  /** `blocked(play)` is told once that no sound comes until the page is touched, or `play()` is called in a click. */
  constructor(scope, speaker, blocked) {
    this.audio.autoplay = true;
    this.#scope = scope;
    this.#told = blocked;
    if (speaker) this.setSpeaker(speaker).catch(() => {});
    scope.own(() => (this.audio.srcObject = null));
  }

  async setSpeaker(deviceId) {
    await this.audio.setSinkId?.(deviceId);
  }

  play(stream) {
    this.audio.srcObject = stream;
    this.audio.play().catch((error) => error.name !== 'AbortError' && this.#wait());
  }

  /** A gesture may come too early: on touch, a pointerdown is none yet. So try until it plays. */
  #wait() {
    if (this.#blocked || this.#scope.closed) return;
    this.#blocked = true;
    const stop = () => {
      this.#blocked = false;
      for (const type of GESTURES) globalThis.removeEventListener(type, attempt, true);
    };
    const attempt = () => this.audio.play().then(stop, () => {});
    for (const type of GESTURES) globalThis.addEventListener(type, attempt, true);
    this.#scope.own(stop);
    this.#told(attempt);
  }
}
