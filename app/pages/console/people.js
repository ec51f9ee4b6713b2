/** Chats that want a person, those that wait longest on top, and those that this console has taken over. */

import { access, ask } from './api.js';
import { $, button, make, say } from './dom.js';
import { counted, since } from './format.js';
import { BUDGET } from './store.js';
import { isMine } from './talk.js';

const MOST = 100;
let items = new Map(); // id → its item in the list
let waiting = new Map(); // id → a session whose agent asks for a person
let cursor = null; // where the next turn goes on: many sessions are looked through in several
let announced = 0;

export function clear() {
  items = new Map();
  waiting = new Map();
  cursor = null;
  announced = 0;
  $('people-list').replaceChildren();
  $('people').hidden = true;
}

/** Look who waits. `known` are the sessions of the list, for those taken over here. */
export async function look(known, open, take) {
  const visit = access.visit;
  await search(visit);
  if (visit !== access.visit) return;
  const found = [...waiting.values()]
    .filter((row) => row.wants_human && !row.takeover)
    .sort((a, b) => (a.wants_human_since ?? 0) - (b.wants_human_since ?? 0));
  const own = [...known.values()].filter(({ id }) => isMine(id));
  const rows = [...own, ...found.filter(({ id }) => !isMine(id))];
  show(rows, found.length, own.length, open, take);
}

/** Read pages, which may be empty, until none follows, `MOST` wait, or the time is over. */
async function search(visit) {
  const until = performance.now() + BUDGET;
  do {
    const from = cursor;
    const query = new URLSearchParams({ wants_human: true, limit: MOST, ...(from && { cursor: from }) });
    const page = await (await ask(`v1/sessions?${query}`)).json();
    if (visit !== access.visit) return;
    cursor = page.next ?? null;
    const inside = (id) => (from === null || id > from) && (cursor === null || id <= cursor);
    for (const id of [...waiting.keys()]) if (inside(id)) waiting.delete(id);
    for (const row of page.sessions) waiting.set(row.id, row);
    if (waiting.size >= MOST) cursor = null;
  } while (cursor !== null && performance.now() < until);
}

function show(rows, waiting, own, open, take) {
  const fresh = new Map();
  for (const row of rows) fresh.set(row.id, items.get(row.id) ?? make('li'));
  for (const [id, item] of items) if (!fresh.has(id)) item.remove();
  items = fresh;
  let at = $('people-list').firstElementChild;
  for (const row of rows) {
    const item = items.get(row.id);
    if (item === at) at = at.nextElementSibling;
    else $('people-list').insertBefore(item, at);
    describe(item, row, open, take);
  }
  const title = [waiting && `${waiting} ${counted(waiting, 'chat')} ${waiting === 1 ? 'wants' : 'want'} a person`, own && `you speak in ${own} ${counted(own, 'chat')}`].filter(Boolean).join(', ');
  say($('people-title'), title.charAt(0).toUpperCase() + title.slice(1));
  $('people').hidden = !rows.length;
  if (waiting > announced) say($('people-news'), `${waiting} ${counted(waiting, 'chat')} ${waiting === 1 ? 'wants' : 'want'} a person.`);
  announced = waiting;
}

function describe(item, row, open, take) {
  const mine = isMine(row.id);
  if (!item.firstElementChild) {
    const text = make('div', 'what');
    text.append(make('b'), make('span', 'why'), make('span', 'dim'));
    item.append(text, button('', 'primary'), button('Look'));
  }
  const [text, act, look] = item.children;
  say(text.children[0], `${row.agent} · ${row.subject ?? '–'}`);
  say(text.children[1], mine ? 'You speak with this customer.' : row.wants_human_reason ?? '');
  say(text.children[2], mine ? '' : `waits ${since(row.wants_human_since ?? row.started_at)}`);
  say(act, mine ? 'Open' : 'Take over');
  act.hidden = !mine && !access.may('operator');
  act.setAttribute('aria-label', `${mine ? 'Open' : 'Take over'} ${row.agent} · ${row.subject ?? row.id}`);
  look.setAttribute('aria-label', `Look at ${row.agent} · ${row.subject ?? row.id}`);
  look.hidden = mine;
  act.onclick = () => (mine ? open(row.id, row) : take(row.id, row));
  look.onclick = () => open(row.id, row);
}
