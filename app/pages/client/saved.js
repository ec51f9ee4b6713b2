/** What outlives a page in sessionStorage, where the option `keep` asks for it. */

const TURNS = 200;

/** Seconds for which the gateway holds what a page has left: to be resumed, or to be joined. */
export const heldFor = ({ resume, session }) => Math.max(resume?.window ?? 0, session?.keep ?? 0);

export class Saved {
  key;

  constructor({ keep, url, agent, callType }) {
    this.key = `blackbox-relay:${keep === true ? [url, agent, callType].map((one) => one ?? '').join('|') : keep}`;
  }

  /** What an earlier page has left, once, if the gateway may still hold the conversation. */
  take() {
    try {
      const text = sessionStorage.getItem(this.key);
      sessionStorage.removeItem(this.key);
      const found = JSON.parse(text);
      return found && Date.now() - found.at < heldFor(found) * 1000 ? found : null;
    } catch {
      return null; // no storage here, or another's entry
    }
  }

  /** Tell whether it is stored. */
  store(snapshot, turns) {
    for (const kept of [turns.snapshot(TURNS), []]) {
      try {
        sessionStorage.setItem(this.key, JSON.stringify({ at: Date.now(), ...snapshot, turns: kept }));
        return true;
      } catch {
        // The storage is full or forbidden: without what was said it may do.
      }
    }
    this.clear();
    return false;
  }

  clear() {
    try {
      sessionStorage.removeItem(this.key);
    } catch {
      // There is none.
    }
  }
}
