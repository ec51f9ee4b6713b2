/** The gateway's health, figures over the sessions, and what the vendor sends that is not known. */

import { ask } from './api.js';
import { $, fill, say } from './dom.js';
import { counted, size } from './format.js';

let limits = {};

export async function health(queue) {
  const response = await fetch('readyz', { cache: 'no-store', credentials: 'omit' });
  const said = await response.json().catch(() => ({}));
  limits = said.limits ?? limits;
  const why = [].concat(said.reason ?? said.reasons ?? said.detail ?? 'not ready').join(', ');
  const waiting = queue?.waiting ? ` · ${queue.waiting} waiting` : '';
  say($('health'), (response.ok ? 'Ready' : `Not ready: ${why}`) + waiting);
  $('health').classList.toggle('bad', !response.ok);
  $('health').title = Object.entries(limits).map(([name, most]) => `${name}: ${most}`).join('\n');
  await drift().catch(() => {}); // an older replica has no such route
}

async function drift() {
  const { shapes, omitted } = await (await ask('v1/drift')).json();
  const lines = shapes.map(({ kind, count, shape }) => `${kind} x${count} ${JSON.stringify(shape)}`);
  if (omitted) lines.push(`${omitted} ${counted(omitted, 'frame')} beyond what is kept`);
  const text = lines.join('\n');
  if ($('drift-shapes').textContent === text) return;
  $('drift-shapes').textContent = text;
  say($('drift-summary'), `The vendor sends ${shapes.length} ${counted(shapes.length, 'shape')} of frames that this gateway does not know`);
  $('drift').hidden = !lines.length;
}

/** Figures over the sessions that are loaded; where others are not, that is said. */
export function totals(store) {
  const all = [...store.rows.values()];
  const sum = (key) => all.reduce((total, session) => total + session[key], 0);
  const away = all.filter((session) => session.browser === 'away').length;
  const calls = all.filter((session) => session.call_type !== 'chat').length;
  const replicas = new Set(all.map((session) => session.replica)).size;
  const live = store.complete && !store.search ? all.length : store.total;
  const part = all.length < live ? `in ${all.length}` : '';
  fill($('totals'), [
    [counted(live, 'live session'), String(live), limits.max_sessions ? `of ${limits.max_sessions}` : ''],
    [counted(calls, 'call'), String(calls), part],
    [away === 1 ? 'browser away' : 'browsers away', String(away), part],
    ['frames/s', sum('rate').toFixed(0), part],
    ['relayed', ...size(sum('flow'))],
    [counted(replicas, 'replica'), String(replicas || '–'), ''],
  ], true);
}
