/** Which chat other tabs of this browser may join: its id in localStorage, while the gateway keeps it open. */

const OFTEN = 5000; // ms between two notes that it goes on

export class Shared {
  #key;
  #notedAt = 0;

  constructor(key) {
    this.#key = key;
  }

  /** The id of a chat that another tab has, or null. */
  find() {
    return found(this.#key)?.sessionId ?? null;
  }

  /** This chat goes on, so it is kept for that long from now. */
  note({ sessionId, callType, keep }) {
    if (!keep || Date.now() - this.#notedAt < OFTEN) return;
    this.#notedAt = Date.now();
    try {
      localStorage.setItem(this.#key, JSON.stringify({ sessionId, callType, until: Date.now() + keep * 1000 }));
    } catch {
      // No storage here: other tabs begin chats of their own.
    }
  }

  clear() {
    try {
      localStorage.removeItem(this.#key);
    } catch {
      // There is none.
    }
  }
}

/** What another tab has noted under this key, if it still holds: {sessionId, callType}. */
export function found(key) {
  try {
    const noted = JSON.parse(localStorage.getItem(key));
    return noted && Date.now() < noted.until ? noted : null;
  } catch {
    return null;
  }
}
