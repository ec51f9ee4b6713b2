/** Where the gateway is. */

import { badAddress } from './errors.js';

/** What a relative address is relative to: in a srcdoc frame the parent's address, in a blob's its origin. */
function base() {
  const candidates = [globalThis.document?.baseURI, globalThis.location?.href, globalThis.origin];
  return candidates.find((one) => /^https?:/.test(one ?? ''));
}

/** The WebSocket address for an option `url`, an agent and a query. Throws a RelayError `bad_address`. */
export function socketAddress(given, agent, query) {
  let full;
  try {
    full = new URL(given ?? '/ws', base());
  } catch (cause) {
    throw badAddress(given === undefined ? 'No address was given: pass url.' : `The address cannot be used: ${given}`, cause);
  }
  full.protocol = full.protocol.replace('http', 'ws');
  if (!/^wss?:$/.test(full.protocol)) throw badAddress(`This is no address of a WebSocket: ${given}`);
  full.hash = '';
  if (full.pathname === '/') full.pathname = '/ws';
  if (agent) full.pathname = `${full.pathname.replace(/\/$/, '')}/${encodeURIComponent(agent)}`;
  for (const [key, value] of Object.entries(query)) if (value != null) full.searchParams.set(key, value);
  return full.href;
}
