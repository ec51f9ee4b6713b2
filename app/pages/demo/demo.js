/**
 * The demo page: the widget, and an inspector of what goes over its wire.
 *
 * Everything here uses the public client and widget only, so that it may be copied from.
 */

import '../widget.js';

const MOST_FRAMES = 500; // rows kept; older ones go
const $ = (id) => document.getElementById(id);
const chat = $('chat');
let config = { agents: [], auth: ['open'], ticketed: false };
let socket = null; // the newest one, for the button that cuts it
let clock = emptyClock();

/** The browser's WebSocket, remembered: a demo must be able to cut its own line. */
class WatchedSocket extends WebSocket {
  constructor(...args) {
    super(...args);
    socket = this;
  }

  /** As if the network had gone: what comes from now on is not heard, and no goodbye is said. */
  cut() {
    const lost = this.onclose;
    this.onopen = this.onmessage = this.onclose = null;
    lost?.({ code: 1006 });
  }
}

function emptyClock() {
  return {
    started: 0, connected: 0, greeted: 0, asked: 0, replies: [],
    frames: { in: 0, out: 0 }, bytes: { in: 0, out: 0 }, resumes: 0, tools: 0, gone: 0,
  };
}

// ---- who to talk to ----

async function begin() {
  try {
    const response = await fetch('demo/config.json');
    if (!response.ok) throw new Error(`status ${response.status}`);
    config = await response.json();
  } catch (error) {
    fault(`The gateway did not give this page its configuration (${error.message}). Is it running?`);
    return;
  }
  $('agent').replaceChildren(...config.agents.map(({ name, callTypes }) => {
    const kinds = callTypes.map((type) => ({ chat: 'chat', webCall: 'voice', onPhone: 'phone' })[type] ?? type);
    return new Option(`${name} (${kinds.join(', ')})`, name);
  }));
  const wished = new URLSearchParams(location.search).get('agent');
  const first = config.agents.find(({ name }) => name === wished) ?? config.agents[0];
  if (!first) {
    fault('This gateway has no agents. Name them in RELAY_AGENTS.');
    return;
  }
  $('agent').value = first.name;
  $('credential-field').hidden = config.auth.includes('open') && !config.ticketed;
  choose();
}

function choose() {
  const agent = config.agents.find(({ name }) => name === $('agent').value);
  chat.setAttribute('agent', agent.name);
  chat.setAttribute('heading', agent.name);
  const types = [...agent.callTypes].sort((one, other) => (other === agent.default) - (one === agent.default));
  chat.setAttribute('call-types', types.join(' '));
  $('number-field').hidden = !agent.callTypes.includes('onPhone');
}

function fault(text) {
  $('fault').textContent = text;
  $('fault').hidden = !text;
}

$('agent').addEventListener('change', async () => {
  await chat.end();
  choose();
});
$('number').addEventListener('change', ({ target }) => chat.setAttribute('endpoint', target.value.trim()));
chat.setAttribute('url', new URL('ws', location.href).href);
chat.credential = () => $('credential').value.trim() || undefined;
chat.options = { WebSocket: WatchedSocket };
chat.tools = { show_order: showOrder };

// ---- a browser tool ----

/** Shows an order as a card in the conversation, and tells the agent that it is shown. */
function showOrder(args) {
  const order = args.order ?? args;
  const found = !order.error && order.found !== false;
  const number = args.order_number ?? order.orderNumber ?? order.order_number ?? '';
  const status = found ? String(order.status ?? 'received') : 'not found';
  const card = make('article', 'order');
  const head = make('header');
  head.append(make('h3', '', `Order ${number}`), make('span', 'badge', status));
  card.append(head);
  if (found) card.append(progress(status), facts(order));
  chat.show(card);
  return { shown: found ? 'the order card' : 'that there is no such order' };
}

function progress(status) {
  const done = /deliver|return/i.test(status) ? 3 : /ship|transit|way/i.test(status) ? 2 : 1;
  const list = make('ol');
  ['Ordered', 'Shipped', 'Delivered'].forEach((step, at) => list.append(make('li', at < done ? 'done' : '', step)));
  return list;
}

function facts(order) {
  const list = make('dl');
  for (const [key, value] of Object.entries(order)) {
    if (['string', 'number'].includes(typeof value) && !/status|number|^id$/i.test(key)) {
      list.append(make('dt', '', key.replaceAll('_', ' ')), make('dd', '', String(value)));
    }
  }
  return list;
}

// ---- the inspector ----

chat.addEventListener('relay-client', ({ detail: client }) => {
  clear();
  clock.started = performance.now();
  client.on('frame', (frame) => row('in', frame));
  client.on('sent', (frame) => row('out', frame));
  client.on('tool', tool);
  client.on('session', () => mark('connected'));
  client.on('resumed', () => (clock.resumes += 1));
  client.on('text', ({ source }) => {
    if (source === 'user') return;
    mark('greeted');
    if (clock.asked) clock.replies.push(performance.now() - clock.asked);
    clock.asked = 0;
  });
  client.on('state', ({ state }) => {
    $('drop').disabled = state !== 'live' || !client.session?.resume;
    if (state === 'resuming') clock.gone = performance.now();
    else if (clock.gone) clock.gone = 0;
    timings();
  });
});

function mark(what) {
  clock[what] ||= performance.now();
}

function row(way, frame) {
  const text = JSON.stringify(frame);
  const now = performance.now();
  clock.frames[way] += 1;
  clock.bytes[way] += text.length;
  if (frame.type === 'incomingChatMessage') clock.asked = now;
  const own = [frame.type, frame.name].some((one) => String(one).startsWith('relay.'));
  const details = make('details', `${way}${own ? ' own' : ''}${frame.type === 'error' ? ' bad' : ''}`);
  const summary = make('summary');
  const what = make('span', 'what');
  what.append(make('b', '', frame.type ?? '?'), make('span', '', ` ${gist(frame)}`));
  summary.append(
    make('span', 'at', `${((now - clock.started) / 1000).toFixed(2)} s`),
    make('span', 'way', way === 'in' ? '← in' : 'out →'),
    what,
    make('span', 'bytes', `${text.length} B`),
  );
  details.append(summary);
  details.addEventListener('toggle', () => {
    if (details.open && !details.querySelector('pre')) details.append(make('pre', '', JSON.stringify(frame, null, 2)));
  });
  const item = make('li');
  item.append(details);
  const pane = $('frames');
  const near = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 80;
  $('frame-list').append(item);
  if ($('frame-list').childElementCount > MOST_FRAMES) $('frame-list').firstElementChild.remove();
  if (near) pane.scrollTop = pane.scrollHeight;
  $('frames-empty').hidden = true;
  $('frame-count').textContent = clock.frames.in + clock.frames.out;
  soon();
}

/** What a frame says, in a few words. */
function gist(frame) {
  const { content, data } = frame;
  if (frame.name) return data?.content ?? data?.operator ? `${frame.name}: ${data.content ?? data.operator}` : frame.name;
  if (typeof content === 'string') return content;
  if (content?.toolName) return `${content.toolName}(${JSON.stringify(content.args ?? {})})`;
  if (content?.text !== undefined) return `${content.speaker ?? content.source}${content.type === 'potential' ? ' (partial)' : ''}: ${content.text}`;
  if (content?.id) return JSON.stringify(content.result);
  if (data?.message) return data.message;
  if (frame.result) return frame.result.status ?? JSON.stringify(frame.result);
  if (frame.request) return frame.request.callType ?? '';
  return '';
}

function tool({ id, name, args, phase, result, ms }) {
  let item = [...$('tool-list').children].find((one) => one.dataset.id === id);
  if (!item) {
    item = make('li');
    item.dataset.id = id;
    $('tool-list').append(item);
    clock.tools += 1;
    $('tool-count').textContent = clock.tools;
    $('tools-empty').hidden = true;
  }
  const head = make('h3', '', name);
  const how = phase === 'called' ? 'runs…' : `${phase === 'failed' ? 'failed' : 'answered'} in ${ms} ms`;
  head.append(make('span', phase, how));
  item.replaceChildren(head, make('pre', '', JSON.stringify(args, null, 2)));
  if (result !== undefined) item.append(make('pre', '', JSON.stringify(result, null, 2)));
}

let due = false;
function soon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    timings();
  });
}

function timings() {
  const since = (moment) => (moment && clock.started ? ms(moment - clock.started) : ['–', '']);
  const mean = clock.replies.reduce((sum, one) => sum + one, 0) / clock.replies.length;
  const rows = {
    'until connected': since(clock.connected),
    "until the agent's first words": since(clock.greeted),
    'latest reply': clock.replies.length ? ms(clock.replies.at(-1)) : ['–', ''],
    'replies on average': clock.replies.length ? ms(mean) : ['–', ''],
    'frames in': [clock.frames.in, bytes(clock.bytes.in)],
    'frames out': [clock.frames.out, bytes(clock.bytes.out)],
    'lines cut and resumed': [clock.resumes, ''],
    'browser tools run': [clock.tools, ''],
  };
  $('timing-list').replaceChildren(...Object.entries(rows).map(([name, [value, unit]]) => {
    const cell = make('div');
    const dd = make('dd', '', String(value));
    if (unit) dd.append(' ', make('small', '', unit));
    cell.append(make('dt', '', name), dd);
    return cell;
  }));
}

const ms = (value) => (value < 1000 ? [Math.round(value), 'ms'] : [(value / 1000).toFixed(2), 's']);
const bytes = (value) => (value < 1024 ? `${value} B` : `${(value / 1024).toFixed(1)} KiB`);

function clear() {
  const { started } = clock;
  clock = { ...emptyClock(), started };
  for (const id of ['frame-list', 'tool-list']) $(id).replaceChildren();
  for (const id of ['frame-count', 'tool-count']) $(id).textContent = 0;
  for (const id of ['frames-empty', 'tools-empty']) $(id).hidden = false;
  timings();
}

$('clear').addEventListener('click', clear);
$('drop').addEventListener('click', () => socket?.cut());

// ---- tabs ----

const tabs = [...document.querySelectorAll('[role="tab"]')];
function select(tab) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute('aria-selected', chosen);
    one.tabIndex = chosen ? 0 : -1;
    $(one.getAttribute('aria-controls')).hidden = !chosen;
  }
}
for (const tab of tabs) {
  tab.addEventListener('click', () => select(tab));
  tab.addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    select(next);
    next.focus();
  });
}

function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

timings();
begin();
