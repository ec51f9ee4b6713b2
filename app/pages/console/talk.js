/** What is said in one chat, and an operator's words in it: take over, talk, hand back. */

import { access, ask, send, session as route } from './api.js';
import { $, asked, make, say, tell } from './dom.js';
import { clock, moment, since } from './format.js';

const MOST_TURNS = 200;
const RENEW = 8000; // ms; the gateway hands a chat back that nobody renews, by default after 30 s
const CATCH_UP = [0, 2000, 6000]; // ms after a stream is back; history is written behind what is said
const MOST_PAGES = 20;
const ROUNDED = 1; // ms by which an event's time may differ from history's
const SPEAKERS = { operator: 'Operator', backend: 'Backend' };

let shown = null; // the session whose chat is shown
const mine = new Map(); // id → the timer that renews a takeover of this console's

export const isMine = (id) => mine.has(id);

/** Show a chat's words: what history has, then what comes. Who may not see them sees none. */
export async function open(id) {
  shown = { id, opened: Date.now(), heard: 0, gap: null };
  const here = shown;
  $('turns').replaceChildren();
  tell($('talk-fault'), '');
  $('say').value = '';
  if (!access.actor.content) return;
  try {
    const kept = await transcript(id);
    if (shown !== here) return;
    const earlier = kept.filter((turn) => turn.text && moment(turn.started_at) < here.opened);
    $('turns').prepend(...earlier.map((turn) => item({ ...turn, at: turn.started_at })));
    toEnd();
  } catch {
    // History is off, or has nothing of it yet: what comes is shown.
  }
}

export function close() {
  shown = null;
}

/** The latest turns that history has of a conversation. */
async function transcript(id) {
  let [turns, cursor] = [[], null];
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const query = new URLSearchParams({ limit: 1000, ...(cursor && { cursor }) });
    const found = await (await ask(`v1/conversations/${encodeURIComponent(id)}/transcript?${query}`)).json();
    turns = [...turns, ...found.turns].slice(-MOST_TURNS);
    cursor = found.next;
    if (!cursor) break;
  }
  return turns;
}

/**
 * The stream was broken and is back: show from history what was said in between. A turn of history is
 * all that one side said until the other did, so it stands for what is shown of it already.
 */
export async function catchUp() {
  const here = shown;
  if (!here || !access.actor.content) return;
  const gap = { from: here.heard, to: Infinity };
  here.gap = gap;
  for (const wait of CATCH_UP) {
    await new Promise((done) => setTimeout(done, wait));
    const kept = await transcript(here.id).catch(() => []);
    if (shown !== here || here.gap !== gap) return;
    for (const turn of kept) {
      const [begun, ended] = [moment(turn.started_at), moment(turn.ended_at)];
      if (turn.text && ended > gap.from && begun < gap.to) place(item({ ...turn, at: turn.started_at }), ended);
    }
    toEnd();
  }
}

/** Put a turn of history where it belongs, in place of what is shown of it. */
function place(turn, ended) {
  const begun = Number(turn.dataset.at);
  for (const one of [...$('turns').children]) {
    const at = Number(one.dataset.at);
    if (one.className === turn.className && at >= begun - ROUNDED && at <= ended + ROUNDED) one.remove();
  }
  const later = [...$('turns').children].find((one) => Number(one.dataset.at) > begun);
  $('turns').insertBefore(turn, later ?? null);
}

/** Take what an event of the session says into the chat. */
export function hear({ kind, type, content, at, held }) {
  if (shown) {
    if (shown.gap) shown.gap.to = Math.min(shown.gap.to, moment(at));
    shown.heard = Math.max(shown.heard, moment(at) + ROUNDED);
  }
  const said = kind === 'frame' && type === 'text' ? content?.content : null;
  if (typeof said?.text !== 'string') return;
  const source = said.source ?? 'assistant';
  const turn = item({ source, speaker: said.speaker, text: said.text, held, at });
  const earlier = [...$('turns').children].findLast((one) => one.dataset.source === source && one.classList.contains('partial'));
  if (earlier) earlier.replaceWith(turn);
  else $('turns').append(turn);
  if (said.type === 'potential') turn.classList.add('partial');
  while ($('turns').childElementCount > MOST_TURNS) $('turns').firstElementChild.remove();
  toEnd();
}

function item({ source, speaker, text, held, at }) {
  const who = source === 'user' ? 'Customer' : SPEAKERS[speaker] ?? 'Agent';
  const turn = make('li', source === 'user' ? 'user' : speaker ?? 'agent');
  turn.dataset.source = source;
  turn.dataset.at = moment(at);
  const head = make('p', 'who');
  head.append(make('b', '', who), ` ${clock(at)}${held ? ' · not shown to the customer' : ''}`);
  turn.append(head, make('p', 'text', text));
  return turn;
}

function toEnd() {
  const pane = $('turns').parentElement;
  pane.scrollTop = pane.scrollHeight;
}

/** Say who speaks in the chat, and offer what this person may do about it. */
export function update(row) {
  const isChat = row?.call_type === 'chat';
  const taken = row?.takeover ?? null;
  const own = Boolean(row) && isMine(row.id);
  $('chat').hidden = !isChat || (!access.actor.content && !access.may('operator'));
  $('detail').classList.toggle('chatting', !$('chat').hidden);
  const again = taken?.operator === access.actor.name; // this person's, before a reload
  $('claim').hidden = !isChat || own || (taken && !again) || !access.may('operator') || row.phase !== 'live';
  say($('claim'), again ? 'Go on talking' : 'Take over');
  $('speak').hidden = !own;
  const wanted = row?.wants_human ? `The agent asks for a person${row.wants_human_reason ? `: ${row.wants_human_reason}` : '.'}` : '';
  const text = own
    ? 'You speak with the customer. The agent is held until you hand back.'
    : taken ? `${taken.operator} has spoken with the customer for ${since(taken.since)}.` : wanted;
  tell($('talk-state'), text);
}

export async function claim(id) {
  tell($('talk-fault'), '');
  try {
    await send('POST', route(id, '/takeover'), { operator: access.actor.name });
    mine.set(id, setInterval(() => renew(id), RENEW));
    return true;
  } catch (error) {
    fault(error.problem?.operator ? `${error.problem.operator} has taken this chat over already.` : error.message);
    return false;
  }
}

async function renew(id) {
  try {
    await send('PUT', route(id, '/takeover'), { operator: access.actor.name }, false);
  } catch (error) {
    if ([403, 404, 409].includes(error.status)) forget(id, error.status === 404 ? 'This conversation has ended.' : error.message);
  }
}

/** A takeover is this console's no more. */
export function forget(id, why = '') {
  clearInterval(mine.get(id));
  if (mine.delete(id) && why && shown?.id === id) fault(why);
}

export function forgetAll() {
  for (const id of [...mine.keys()]) forget(id);
}

const fault = (text) => tell($('talk-fault'), text);

export function prepare(changed) {
  $('speak').addEventListener('submit', async (event) => {
    event.preventDefault();
    const content = $('say').value.trim();
    const { id } = shown ?? {};
    if (!content || !id) return;
    $('say').value = '';
    try {
      await send('POST', route(id, '/messages'), { content, as: 'agent', speaker: 'operator', operator: access.actor.name });
      fault('');
    } catch (error) {
      if (shown?.id !== id) return;
      $('say').value ||= content; // what was refused is not lost
      fault(error.message);
    }
  });
  $('say').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('speak').requestSubmit();
  });
  $('claim').addEventListener('click', async () => {
    const { id } = shown;
    $('claim').disabled = true;
    const claimed = await claim(id);
    $('claim').disabled = false;
    await changed();
    if (claimed && shown?.id === id) $('say').focus();
  });
  $('hand-back').addEventListener('click', async () => {
    const { id } = shown;
    $('summary').value = '';
    if (await asked($('handing-back')) !== 'yes') return;
    const summary = $('summary').value.trim();
    try {
      await send('DELETE', route(id, '/takeover'), { operator: access.actor.name, ...(summary && { summary }) });
      forget(id);
      fault('');
    } catch (error) {
      fault(error.message);
    }
    await changed();
    if (!$('claim').hidden) $('claim').focus();
  });
  say($('talk-state'), '');
}
