/**
 * The operator's console: live sessions, chats that want a person, approvals, deliveries, the audit log.
 * This module signs people in and out, and lets the parts take their turns.
 */

import { access, admitted, enter, leave, lookUp, signOut } from './api.js';
import * as approvals from './approvals.js';
import { Detail } from './detail.js';
import { $, say, tell } from './dom.js';
import * as entries from './entries.js';
import { health, totals } from './health.js';
import { SessionList } from './list.js';
import * as people from './people.js';
import { repeat, stopAll, watchFaults } from './polling.js';
import { SORTABLE, Sessions } from './store.js';
import * as talk from './talk.js';
// What these import, so that a browser asks for all modules at once and not level by level.
import './format.js';
import './spark.js';
import './timeline.js';

const OFTEN = 300; // sessions that are brought up to date each second; more of them every other
const FAULTS = {
  denied: 'The sign-in was cancelled.',
  expired: 'This sign-in is out of date. Please sign in again.',
  role: 'Your account has no role here. Ask your administrator for one.',
  busy: 'The gateway is busy. Please try again in a moment.',
  failed: 'The sign-in did not succeed. If it fails again, an administrator finds the reason in the gateway’s log.',
};

const store = new Sessions();
const list = new SessionList(store, (id) => open(id), () => fillPane());
const detail = new Detail(store, list);
const open = (id, row) => detail.open(id, row).catch(fault);
let view = 'live';

// ---- the door ----

async function start() {
  const given = new URLSearchParams(location.hash.slice(1)).get('sign-in');
  if (given) history.replaceState(null, '', location.pathname + location.search);
  await lookUp().catch(() => {}); // a console apart from the routes: a token is asked for
  $('by-oidc').hidden = access.mode !== 'oidc';
  $('by-token').hidden = access.mode === 'oidc';
  if (access.actor) return enterDesk();
  tell($('refused'), given ? FAULTS[given] ?? FAULTS.failed : '');
  (access.mode === 'oidc' ? $('sign-in') : $('token')).focus();
}

$('enter').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (access.mode === 'oidc') return;
  enter($('token').value.trim(), null);
  $('token').value = '';
  await enterDesk();
});

async function enterDesk() {
  try {
    await admitted();
    await look();
  } catch (error) {
    shut(error.message);
    return;
  }
  const { actor, mode } = access;
  $('door').hidden = true;
  $('desk').hidden = $('leave').hidden = false;
  say($('leave'), mode === 'oidc' ? 'Sign out' : 'Forget the token');
  tell($('who'), mode === 'oidc' ? `${actor.name} · ${actor.role}` : '');
  for (const [name, role] of [['approvals', 'operator'], ['deliveries', 'operator'], ['audit', 'admin']]) {
    document.querySelector(`[data-view=${name}]`).hidden = !access.may(role);
  }
  show('live');
  list.arrange();
  repeat('sessions', look, () => (store.rows.size > OFTEN ? 2000 : 1000));
  repeat('people', () => people.look(store.rows, open, take), () => 2000);
  repeat('health', () => health(store.queue), () => 5000);
  if (access.may('operator')) repeat('approvals', approvals.look, () => 2000);
}

$('leave').addEventListener('click', async () => {
  const why = await signOut().then(() => '', (error) => error.message);
  shut(why);
});

function shut(why) {
  leave();
  stopAll();
  talk.forgetAll();
  detail.close();
  store.clear('');
  list.clear();
  people.clear();
  approvals.clear();
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close('no');
  $('filter').value = '';
  $('desk').hidden = $('leave').hidden = $('who').hidden = true;
  $('door').hidden = false;
  say($('health'), '');
  tell($('refused'), why);
  (access.mode === 'oidc' ? $('sign-in') : $('token')).focus();
}

// ---- what goes on ----

/** Load the first sessions, then bring up to date those that can be seen, or all if they are few. */
async function look() {
  if (store.rows.size <= SORTABLE) {
    await store.refresh();
    await store.fill();
  } else {
    await store.refresh(...list.seen());
    await fillPane();
  }
  if (!access.actor) return;
  list.arrange();
  totals(store);
  await detail.refresh();
}

/** More is loaded where somebody has scrolled near the end of what is there. */
let filling = false;
async function fillPane() {
  if (filling || !access.actor || store.complete || !store.pages.length || !list.nearEnd) return;
  filling = true;
  try {
    await store.fill(store.rows.size + 1);
    list.arrange();
  } catch (error) {
    fault(error);
  } finally {
    filling = false;
  }
}

let typing;
$('filter').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    store.clear($('filter').value.trim());
    $('sessions-pane').scrollTop = 0;
    repeat('sessions', look, () => (store.rows.size > OFTEN ? 2000 : 1000));
  }, 200);
});

async function take(id, row) {
  open(id, row);
  await talk.claim(id);
  await detail.refresh();
  await people.look(store.rows, open, take).catch(fault);
}

talk.prepare(async () => {
  await store.refresh(...(store.rows.size > SORTABLE ? list.seen() : [])).catch(fault);
  await detail.refresh();
});
entries.prepare();

// ---- views ----

function show(name) {
  view = name;
  for (const one of document.querySelectorAll('.view')) one.hidden = one.id !== name;
  for (const one of $('views').children) {
    if (one.dataset.view === name) one.setAttribute('aria-current', 'page');
    else one.removeAttribute('aria-current');
  }
  if (name === 'live') list.render();
  if (name === 'audit') entries.audit.show().catch(fault);
  if (name === 'deliveries') entries.deliveries.show().catch(fault);
}

$('views').addEventListener('click', ({ target }) => {
  const chosen = target.closest('button')?.dataset.view;
  if (chosen && chosen !== view) show(chosen);
});

// ---- faults ----

const troubles = new Map();
watchFaults((name, error) => {
  if (error?.status === 401) return void shut(error.message);
  if (error) troubles.set(name, error.message);
  else troubles.delete(name);
  tell($('trouble'), [...troubles.values()][0] ?? '');
});

function fault(error) {
  if (error?.status === 401) shut(error.message);
}

start();
