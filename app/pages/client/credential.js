/** The credential for one connection. */

import { RelayError } from './errors.js';

const RESUME_WAIT = 2000; // ms
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/; // RFC 9110 5.6.2, as a subprotocol must be

const later = (ms) => new Promise((done) => setTimeout(done, ms));

const refused = (message, retry, cause) => new RelayError(4401, { message, retry, cause });

async function ask(credential, resume) {
  return credential({ resume });
}

/**
 * For a resume its token is the credential: another one is welcome, but neither waited for nor needed.
 * Throws a RelayError 4401 where the page's own callback fails, in `timeout` seconds at the latest.
 */
export async function credentialFor(credential, resume, timeout) {
  let given = credential;
  if (typeof credential !== 'function') {
    const reusable = !resume || String(credential).split('.').length === 3; // a JWT; a ticket is used up
    given = reusable ? credential : null;
  } else if (resume) {
    given = await Promise.race([ask(credential, true).catch(() => null), later(RESUME_WAIT)]);
    if (!TOKEN.test(given ?? '')) given = null;
  } else {
    const late = later(timeout * 1000).then(() => Promise.reject(new Error('time-out')));
    given = await Promise.race([ask(credential, false), late]).catch((cause) => {
      throw refused('The page could not get a credential.', cause?.retry ?? 'reconnect', cause);
    });
  }
  if (!given) return null;
  if (!TOKEN.test(given)) throw refused('The address or the credential cannot be used.', 'no');
  return given;
}
