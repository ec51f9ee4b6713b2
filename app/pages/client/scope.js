/** Resources that end together: what a start has opened is closed wherever the start is cut. */

/** Rejects what waits in a scope that was closed. */
export class Closed extends Error {}

export const stopTracks = (stream) => stream?.getTracks().forEach((track) => track.stop());

export class Scope {
  closed = false;
  #closers = new Set();
  #reason;

  /** Call `close` when this scope is closed, at once if it is; returns how to take that back. */
  own(close) {
    if (this.closed) {
      close();
      return () => {};
    }
    this.#closers.add(close);
    return () => this.#closers.delete(close);
  }

  /** Wait, no longer than this scope is open; a value that comes too late is given to `discard`. */
  wait(promise, discard) {
    return new Promise((resolve, reject) => {
      const release = this.own(() => reject(this.#reason ?? new Closed()));
      Promise.resolve(promise).then(
        (value) => {
          release();
          if (this.closed) discard?.(value);
          else resolve(value);
        },
        (error) => {
          release();
          reject(error);
        },
      );
    });
  }

  /** Call back in `seconds`, if this scope is still open then. */
  after(seconds, then) {
    const timer = setTimeout(() => {
      release();
      then();
    }, seconds * 1000);
    const release = this.own(() => clearTimeout(timer));
  }

  listen(target, type, listener) {
    target?.addEventListener?.(type, listener);
    this.own(() => target?.removeEventListener?.(type, listener));
  }

  close(reason) {
    if (this.closed) return;
    this.closed = true;
    this.#reason = reason;
    for (const close of [...this.#closers].reverse()) {
      try {
        close();
      } catch (error) {
        console.error('closing failed', error);
      }
    }
    this.#closers.clear();
  }
}
