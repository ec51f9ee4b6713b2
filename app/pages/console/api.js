/**
 * What the console asks the gateway, and by which right.
 *
 * A service token lives in one variable of this module and nowhere else: no storage, no cookie, no
 * address. Where people sign in by OpenID Connect, an HttpOnly cookie comes along instead.
 */

const RANKS = { viewer: 1, operator: 2, admin: 3 };

let token = null;
let actor = null; // {name, role, content}
let mode = 'token'; // how one signs in here: 'token' or 'oidc'
const operator = `Operator ${unique().slice(0, 4)}`; // who comes by a token has no name
let visit = 0; // counts sign-ins, so that what belongs to an earlier one is told apart

function unique() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export const access = {
  get actor() { return actor; },
  get mode() { return mode; },
  get visit() { return visit; },
  may: (role) => actor !== null && RANKS[actor.role] >= RANKS[role],
};

/** How one signs in here, and who is signed in already. */
export async function lookUp() {
  const said = await (await request('console/session', { credentials: 'same-origin' })).json();
  mode = said.sign_in;
  enter(null, said.actor);
  return actor;
}

export function enter(given, who) {
  visit += 1;
  token = given;
  actor = given ? { name: operator, role: 'admin', content: true } : who;
}

/** What a token may do here; one that opens nothing is a fault. */
export async function admitted() {
  try {
    const said = await (await ask('console/session')).json();
    if (token && said.actor) actor = { ...said.actor, name: operator };
  } catch (error) {
    if (error.status !== 404) throw error; // a console apart from the routes
  }
}

export function leave() {
  visit += 1;
  token = actor = null;
}

/** Sign out here, and go to the provider to sign out there, if it takes part in that. */
export async function signOut() {
  if (mode === 'oidc' && !token) {
    const answer = await ask('console/sign-out', { method: 'POST' });
    if (answer.status === 200) location.assign((await answer.json()).provider);
  }
  leave();
}

/** Ask a route: its answer, or an Error with `status`, a sentence and the `problem`. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers, 'X-Relay-Console': '1' };
  if (token) headers.Authorization = `Bearer ${token}`;
  return request(path, { ...options, headers, credentials: token ? 'omit' : 'same-origin' });
}

/** Send JSON; a key lets the gateway do it once, however often it is sent. */
export function send(method, path, body, keyed = true) {
  const headers = { 'Content-Type': 'application/json', ...(keyed && { 'Idempotency-Key': unique() }) };
  return ask(path, { method, headers, body: body && JSON.stringify(body) });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', ...options });
  } catch (cause) {
    if (cause.name === 'AbortError') throw cause;
    throw Object.assign(new Error('The gateway does not answer. Trying again.'), { cause });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const refused = token ? 'This token does not open the console.' : 'You are signed out. Please sign in again.';
  const text = response.status === 401 ? refused : problem.detail ?? problem.title ?? `The gateway answers with status ${response.status}.`;
  throw Object.assign(new Error(text), { status: response.status, problem });
}

export const session = (id, rest = '') => `v1/sessions/${encodeURIComponent(id)}${rest}`;

/** The events of a stream (WHATWG server-sent events; EventSource itself cannot send a token). */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let lines = [];
  try {
    for (;;) {
      const { done, value: text } = await reader.read();
      if (done) return;
      const parts = (rest + text).split(/\r\n|\n|\r(?!$)/);
      rest = parts.pop();
      for (const line of parts) {
        if (line.startsWith('data:')) lines.push(line.slice(5).trimStart());
        if (line || !lines.length) continue;
        const data = lines.join('\n');
        lines = [];
        try {
          yield JSON.parse(data);
        } catch {
          // Not one of ours.
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
