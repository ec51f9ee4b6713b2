/** One session's timeline: every event that the gateway tells of, one line each. */

import { $, make } from './dom.js';
import { clock, counted } from './format.js';

const MOST_EVENTS = 500; // older ones go
let coming = [];

export function clear() {
  coming = [];
  $('timeline').replaceChildren();
}

/** Events come by hundreds a second in a flood: they are put on the page once per animation frame. */
export function show(event) {
  coming.push(event);
  if (coming.length === 1) requestAnimationFrame(flush);
  if (coming.length > MOST_EVENTS) coming.splice(1, coming.length - MOST_EVENTS);
}

function flush() {
  const list = $('timeline');
  const pane = list.parentElement;
  const near = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60;
  for (const event of coming) place(list, event);
  coming = [];
  while (list.childElementCount > MOST_EVENTS) list.firstElementChild.remove();
  if (near) pane.scrollTop = pane.scrollHeight;
}

/** Put an event at the end; a text in place of its source's partial text, which it replaces. */
function place(list, event) {
  const { type, direction, content } = event;
  const source = type === 'text' && direction === 'from_upstream' && content ? content.content?.source ?? 'assistant' : null;
  const item = line(event);
  const earlier = source && [...list.querySelectorAll('.partial')].find((one) => one.dataset.source === source);
  if (earlier) earlier.replaceWith(item);
  else list.append(item);
  if (source && content.content?.type === 'potential') {
    item.classList.add('partial');
    item.dataset.source = source;
  }
}

/** One event: a frame, a tool, a phase, the browser's coming and going, or the end. */
function line(event) {
  const { at, kind, direction, type, name, tool, state, operator, code, reason, bytes, content, missed, held } = event;
  const phases = ['phase', 'browser', 'end', 'takeover', 'wants_human'];
  const item = make('li', kind === 'tool' ? 'tool' : phases.includes(kind) ? 'phase' : '');
  const arrow = { from_upstream: ' ←', from_browser: ' →' }[direction] ?? '';
  const hasContent = content !== undefined && content !== null;
  const row = make(hasContent ? 'summary' : 'div', 'row');
  const what = make('span', 'what');
  const fallback = missed && `(${missed} ${counted(missed, 'event')} missed)`;
  what.append(make('b', '', [type, name, tool, state, operator, code, reason, held && 'held', fallback].filter(Boolean).join(' ')));
  if (hasContent) what.append(make('span', 'said', ` ${gist(content)}`));
  row.append(
    make('time', '', clock(at)),
    make('span', 'kind', `${kind === 'wants_human' ? 'wanted' : kind ?? ''}${arrow}`),
    what,
    make('span', 'bytes', bytes === undefined || bytes === null ? '' : `${bytes} B`),
  );
  if (!hasContent) {
    item.append(row);
    return item;
  }
  const details = make('details');
  details.append(row, make('pre', '', typeof content === 'string' ? content : JSON.stringify(content, null, 1)));
  item.append(details);
  return item;
}

/** What a frame says, on one line: the words, the tool, or else its JSON without the envelope. */
function gist(frame) {
  if (typeof frame !== 'object') return String(frame);
  const { content, data, result } = frame;
  if (typeof content === 'string') return content;
  if (typeof content?.text === 'string') return content.source ? `${content.source}: ${content.text}` : content.text;
  if (content?.toolName) return `${content.toolName}(${JSON.stringify(content.args ?? {})})`;
  if (typeof data?.message === 'string') return data.message;
  const rest = content?.result ?? content ?? result ?? data ?? frame.request ?? frame.reason;
  if (rest !== undefined && rest !== null) return typeof rest === 'string' ? rest : JSON.stringify(rest);
  const { type, name, timestamp, ...more } = frame;
  return Object.keys(more).length ? JSON.stringify(more) : '';
}
