/** What follows when a connection is lost: resume, join, connect again, begin another conversation, or end. */

import { backoff, resumeDelay } from './backoff.js';
import { RelayError } from './errors.js';

const STABLE = 10_000; // ms after which a connection that is lost was a good one
const OVERDUE = 10; // seconds after the resume window: the gateway says first that it is over
const OFTEN = 1000; // ms between dials that a page's events set off

export class Recovery {
  everLive = false;
  #attempts = 0;
  #liveAt = 0;
  #dialledAt = 0;
  #notBefore = 0; // the gateway's own wish
  #timer = null; // of the next dial
  #options;
  #progress;
  #on;

  /** `on` has leaving(), dial(), waiting(state, error, {attempt, delay}), renewed(takeover) and end(error). */
  constructor(options, progress, on) {
    this.#options = options;
    this.#progress = progress;
    this.#on = on;
  }

  dialling() {
    this.stop();
    this.#dialledAt = Date.now();
  }

  live() {
    this.everLive ||= !this.#progress.queue;
    this.#liveAt = Date.now();
  }

  /** A connection is lost, or a dial has failed. `told`: the gateway said why; `now`: without a delay at first. */
  lost(error, established, told, now) {
    const progress = this.#progress;
    if (established) {
      progress.lostAt = Date.now();
      if (progress.lostAt - this.#liveAt > STABLE) this.#attempts = 0; // one that dies at once is backed off from
    }
    const broke = error.retry === 'resume' || (!told && error.code >= 1000 && error.code < 4000 && ![1007, 1009].includes(error.code));
    const again = established ? broke : error.retry !== 'no' && error.code !== 4410;
    if (told && error.retry === 'reconnect' && this.#mayQueueAnew(error)) return this.#queueAnew(error);
    const gone = Date.now() - progress.lostAt;
    if (progress.resume && again) {
      if (gone > (progress.resume.window + OVERDUE) * 1000) return this.over(new RelayError(4410, { cause: error }));
      return this.#later('resuming', error, now);
    }
    if (progress.join && this.everLive && again && gone < progress.session.keep * 1000) return this.#later('resuming', error);
    if (again && this.#mayConnectAgain) return this.#later('connecting', error);
    return this.over(error);
  }

  get #mayConnectAgain() {
    return !this.everLive && this.#attempts + 1 < this.#options.attempts;
  }

  /** A chat that the gateway keeps is joined instead, and nobody who asked to join one wants another. */
  #mayQueueAnew({ code }) {
    const { queue, session, join } = this.#progress;
    return queue && !this.#on.leaving() && !this.#options.join && !(code === 4410 && session?.keep && !join);
  }

  /** The server goes away before the conversation has begun: another one knows the position. */
  #queueAnew(error) {
    const progress = this.#progress;
    progress.resume = progress.join = progress.restored = progress.queue = null;
    progress.forget();
    if (this.#attempts + 1 < this.#options.attempts) return this.#later('connecting', error);
    return this.over(error);
  }

  /** The conversation cannot be saved: join it as another page, begin another if the page wants that, else it has ended. */
  over(error) {
    const progress = this.#progress;
    const { join, renew } = this.#options;
    if (this.#on.leaving()) return this.#on.end(new RelayError(1000));
    if (error.code === 4410 && progress.session?.keep && !progress.join) {
      progress.join = progress.session.sessionId; // the gateway keeps the chat open, though not this page's place in it
      progress.resume = null;
      this.#attempts = 0;
      return this.#later('resuming', error, true);
    }
    if (progress.join && !join && error.name !== 'bad_address') {
      progress.join = null; // it is kept no longer
      progress.unshare();
      if (!progress.session) return this.#later('connecting', error, true);
      error = new RelayError(4410, { cause: error });
    }
    if (progress.restored && error.name !== 'bad_address') {
      progress.restored = progress.resume = progress.session = progress.queue = null;
      this.#attempts = 0;
      return this.#later('connecting', error, true);
    }
    if (!renew || !this.everLive || error.retry === 'no' || error.code === 4408) return this.#on.end(error);
    const { takeover } = progress; // that person was in the conversation that is lost
    progress.resume = progress.takeover = null;
    progress.unsave();
    this.#on.renewed(takeover);
    return this.#later('connecting', error);
  }

  #later(state, error, now = false) {
    const { resume, lostAt, restored } = this.#progress;
    const attempt = this.#attempts++;
    const retryAfter = error.retryAfter ?? 0;
    const options = { ...this.#options.backoff, retryAfter };
    const left = resume && resume.window - (Date.now() - lostAt) / 1000;
    const wait = resume ? resumeDelay(attempt, left, options) : backoff(attempt, options);
    const delay = now && attempt === 0 ? 0 : wait;
    this.#notBefore = Date.now() + Math.min(retryAfter, delay) * 1000;
    this.#dialIn(delay * 1000);
    this.#on.waiting(restored ? 'connecting' : state, error, { attempt: attempt + 1, delay });
  }

  #dialIn(ms) {
    this.stop();
    this.#timer = setTimeout(this.#on.dial, ms);
  }

  /** The page is looked at again, or the network is back: dial now. */
  wake(network, isDialling) {
    if (!this.#timer && !(network && isDialling)) return;
    if (!network && Date.now() - this.#dialledAt < OFTEN) return;
    if (network) this.#attempts = 0;
    this.#dialIn(Math.max(Math.random() * 200, this.#notBefore - Date.now()));
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }
}
