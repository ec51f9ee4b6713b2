/** Tool calls that wait for an operator's word: their exact arguments, and yes or no. */

import { access, ask, send } from './api.js';
import { $, button, make, say, tell } from './dom.js';
import { moment, span } from './format.js';

let items = new Map(); // key → its item in the list
let absent = false; // an older gateway has no such route

export function clear() {
  items = new Map();
  absent = false;
  $('approvals-list').replaceChildren();
  $('approvals-count').hidden = true;
}

const keyOf = ({ session_id, id }) => `${session_id} ${id}`;

export async function look() {
  if (absent) return;
  let found;
  try {
    found = (await (await ask('v1/approvals')).json()).approvals;
  } catch (error) {
    if (error.status !== 404) throw error;
    absent = true;
    document.querySelector('[data-view=approvals]').hidden = true;
    return;
  }
  const fresh = new Map(found.map((one) => [keyOf(one), items.get(keyOf(one)) ?? made(one)]));
  for (const [key, item] of items) if (!fresh.has(key)) item.remove();
  for (const item of fresh.values()) if (!item.isConnected) $('approvals-list').append(item);
  items = fresh;
  for (const one of found) left(items.get(keyOf(one)), one);
  say($('approvals-count'), String(found.length));
  $('approvals-count').hidden = !found.length;
  $('approvals-empty').hidden = found.length > 0;
}

function left(item, { deadline }) {
  const seconds = (moment(deadline) - Date.now()) / 1000;
  say(item.querySelector('.left'), `${span(seconds)} left, then it is declined`);
}

function made(one) {
  const item = make('li');
  const head = make('h3', '', one.tool);
  const about = make('p', 'dim', `${one.agent} · ${one.session_id}`);
  const args = make('pre', '', access.actor.content ? JSON.stringify(one.args, null, 2) : 'You may not see the arguments.');
  args.tabIndex = 0;
  args.setAttribute('role', 'region');
  args.setAttribute('aria-label', `Arguments of ${one.tool}`);
  const row = make('div', 'choices');
  const yes = button('Approve', 'primary', () => decide(one, item, true));
  const no = button('Decline', 'danger', () => decide(one, item, false));
  yes.setAttribute('aria-label', `Approve ${one.tool}`);
  no.setAttribute('aria-label', `Decline ${one.tool}`);
  row.append(make('span', 'dim left'), no, yes);
  item.append(head, about, args, row);
  return item;
}

async function decide(one, item, approve) {
  for (const choice of item.querySelectorAll('button')) choice.disabled = true;
  try {
    await send('POST', `v1/approvals/${encodeURIComponent(one.session_id)}/${encodeURIComponent(one.id)}`, { approve });
    tell($('approvals-fault'), '');
  } catch (error) {
    tell($('approvals-fault'), error.message);
    for (const choice of item.querySelectorAll('button')) choice.disabled = false;
  }
  await look().catch(() => {});
}
