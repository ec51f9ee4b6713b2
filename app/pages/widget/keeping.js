/** Conversations that outlive their element, where its attribute `keep` asks for it: reloads and changes of route. */

import { heldFor } from '../client/saved.js';
import { found } from '../client/shared.js';

const PARKED_FOR = 30_000; // ms that a conversation waits for an element; then it is ended

/** What an element's conversation is kept under: its address, its agent, its id. */
export function keptName(element) {
  return ['widget', ...['url', 'agent', 'id'].map((name) => element.getAttribute(name) ?? '')].join('|');
}

/** The call type of a conversation that an earlier page of this tab has left, or that another tab has, or null. */
export function leftByEarlierPage(name) {
  try {
    const key = `blackbox-relay:${name}`;
    const left = JSON.parse(sessionStorage.getItem(key));
    if (left && Date.now() - left.at < heldFor(left) * 1000) return left.session.callType;
    return found(key)?.callType ?? null;
  } catch {
    return null; // nothing is there, or there is no storage: a sandboxed frame, a browser that forbids it
  }
}

/** Live clients whose element has left the document, for another element of the same page. */
export class Parked {
  #clients = new Map(); // name → {client, timer}

  put(name, client) {
    this.take(name)?.hangUp();
    // A chat that the gateway keeps may go on in other tabs.
    const timer = client.session?.keep ? undefined : setTimeout(() => this.take(name)?.hangUp(), PARKED_FOR);
    this.#clients.set(name, { client, timer });
  }

  /** Whoever takes it has it alone. One that has ended meanwhile is not given. */
  take(name) {
    const { client, timer } = this.#clients.get(name) ?? {};
    clearTimeout(timer);
    this.#clients.delete(name);
    return client && client.state !== 'ended' ? client : null;
  }
}

/** Serve an element's tools with a client that another element made. */
export function serveTools(client, tools) {
  for (const [name, tool] of Object.entries(tools)) {
    if (typeof tool === 'function') client.tool(name, tool);
    else client.tool(name, tool.schema, tool.run);
  }
}
