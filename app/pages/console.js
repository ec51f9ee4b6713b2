/**
 * The operator's console: live sessions, one session's timeline, and the gateway's health.
 *
 * The service token lives in one variable of this module and nowhere else: no storage, no cookie,
 * no address. What is shown comes from /v1/sessions, /v1/sessions/{id}/watch and /readyz.
 */

const EVERY = 1000; // ms between two looks at the sessions
const HEALTH_EVERY = 5000;
const SPARK = 60; // samples of a spark line
const BATCH = 40; // rows brought up to date in one animation frame
const MOST_EVENTS = 500; // of a timeline; older ones go
const $ = (id) => document.getElementById(id);

let token = null;
let sessions = new Map(); // id → what is known of it, and its row
let sort = { key: 'age', up: true };
let watched = null; // {id, abort}
let timers = [];
let work = []; // rows that are out of date
let working = false;
const visible = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const session = sessions.get(target.dataset.id);
    if (!session) continue;
    session.seen = isIntersecting;
    if (isIntersecting) stale(session);
  }
}, { rootMargin: '300px' });

// ---- the door ----

$('enter').addEventListener('submit', async (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  $('token').value = '';
  try {
    await look();
  } catch (error) {
    token = null;
    shut(error.message);
    return;
  }
  $('door').hidden = true;
  $('desk').hidden = $('leave').hidden = false;
  repeat(look, EVERY);
  repeat(health, HEALTH_EVERY);
  health();
});

$('leave').addEventListener('click', () => shut(''));

function shut(why) {
  token = null;
  timers.forEach(clearTimeout);
  timers = [];
  unwatch();
  for (const session of sessions.values()) session.row?.remove();
  sessions = new Map();
  $('desk').hidden = $('leave').hidden = true;
  $('door').hidden = false;
  $('health').textContent = '';
  $('refused').textContent = why;
  $('refused').hidden = !why;
  $('token').focus();
}

/** Again and again, one after the other; a hidden tab asks nothing. */
function repeat(task, every) {
  const at = timers.length;
  const next = async () => {
    const asked = token;
    try {
      if (!document.hidden) await task();
      trouble('');
    } catch (error) {
      if (asked !== token) return;
      if (error.status === 401) return void shut(error.message);
      trouble(error.message);
    }
    if (asked === token && token) timers[at] = setTimeout(next, every);
  };
  timers[at] = setTimeout(next, every);
}

function trouble(text) {
  if ($('trouble').textContent !== text) $('trouble').textContent = text;
  $('trouble').hidden = !text;
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: 'no-store', credentials: 'omit', ...options, headers: { Authorization: `Bearer ${token}` } });
  } catch (cause) {
    if (cause.name === 'AbortError') throw cause;
    throw Object.assign(new Error('The gateway does not answer. Trying again.'), { cause });
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const text = response.status === 401 ? 'This token does not open the console.' : problem.detail ?? problem.title ?? `The gateway answers with status ${response.status}.`;
  throw Object.assign(new Error(text), { status: response.status });
}

// ---- the sessions ----

async function look() {
  const found = [];
  let next = null;
  do {
    const query = new URLSearchParams({ limit: '500', ...(next && { cursor: next }) });
    const page = await (await ask(`v1/sessions?${query}`)).json();
    found.push(...page.sessions);
    next = page.next ?? null;
    queue = page.queue ?? null;
  } while (next && found.length < 5000);
  merge(found);
}

function merge(found) {
  const now = performance.now();
  const gone = new Set(sessions.keys());
  for (const fresh of found) {
    gone.delete(fresh.id);
    const frames = (fresh.frames_in ?? 0) + (fresh.frames_out ?? 0);
    const octets = (fresh.bytes_in ?? 0) + (fresh.bytes_out ?? 0);
    const known = sessions.get(fresh.id);
    if (!known) {
      sessions.set(fresh.id, { ...fresh, frames, octets, at: now, rate: 0, flow: 0, spark: [], started: moment(fresh.started_at), shown: {} });
      continue;
    }
    const seconds = Math.max(0.001, (now - known.at) / 1000);
    Object.assign(known, fresh, {
      rate: Math.max(0, frames - known.frames) / seconds,
      flow: Math.max(0, octets - known.octets) / seconds,
      frames, octets, at: now,
    });
    known.spark.push(known.rate);
    if (known.spark.length > SPARK) known.spark.shift();
  }
  for (const id of gone) {
    const session = sessions.get(id);
    if (session.row) {
      visible.unobserve(session.row);
      session.row.remove();
    }
    sessions.delete(id);
  }
  arrange();
  totals();
  if (watched) facts();
}

const moment = (value) => (typeof value === 'number' ? value * 1000 : Date.parse(value));
const age = (session) => Math.max(0, (Date.now() - session.started) / 1000);
const value = (session, key) => (key === 'age' ? age(session) : session[key] ?? '');

/** Put the rows in their order, moving only those that stand wrong. */
function arrange() {
  const wanted = $('filter').value.trim().toLowerCase();
  const fits = (session) => !wanted || [session.agent, session.subject, session.call_type, session.id, session.phase].some((text) => String(text ?? '').toLowerCase().includes(wanted));
  const up = sort.up ? 1 : -1;
  const order = [...sessions.values()].filter(fits).sort((a, b) => {
    const [x, y] = [value(a, sort.key), value(b, sort.key)];
    return (x < y ? -up : x > y ? up : 0) || (a.id < b.id ? -1 : 1);
  });
  const body = $('rows');
  for (const session of sessions.values()) if (session.row?.isConnected && !fits(session)) session.row.remove();
  let at = body.firstElementChild;
  for (const session of order) {
    const row = (session.row ??= makeRow(session));
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
    stale(session);
  }
  $('empty').hidden = order.length > 0;
  $('empty').textContent = wanted ? 'No session fits the filter.' : 'No live sessions.';
  $('shown').textContent = wanted ? `${order.length} of ${sessions.size}` : '';
}

function makeRow(session) {
  const row = make('tr');
  row.dataset.id = session.id;
  const open = make('button', '', session.agent);
  open.type = 'button';
  // The whole row opens it; the button is for the keyboard. Text that was just selected is wanted for itself.
  row.addEventListener('click', () => getSelection()?.toString() || watch(session.id));
  const first = make('td');
  session.brief = make('span', 'brief');
  first.append(open, session.brief);
  const canvas = make('canvas');
  canvas.width = 320;
  canvas.height = 56;
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'Frames per second of late');
  const last = make('td');
  last.append(canvas);
  row.append(first, make('td'), make('td'), make('td'), make('td', 'number'), make('td', 'number'), last);
  session.canvas = canvas;
  session.seen = false;
  visible.observe(row);
  return row;
}

/** A row is out of date; it is redrawn soon, with few others, and only if somebody can see it. */
function stale(session) {
  if (!session.seen || session.waiting) return;
  session.waiting = true;
  work.push(session);
  if (working) return;
  working = true;
  requestAnimationFrame(redraw);
}

function redraw() {
  for (const session of work.splice(0, BATCH)) {
    session.waiting = false;
    draw(session);
  }
  working = work.length > 0;
  if (working) requestAnimationFrame(redraw);
}

function draw(session) {
  const cells = session.row.children;
  const away = session.browser === 'away';
  const texts = [null, session.call_type, away ? `${session.phase}, browser away` : session.phase, session.subject ?? '–', span(age(session)), session.rate.toFixed(1)];
  texts.forEach((text, at) => {
    if (text === null || session.shown[at] === text) return;
    session.shown[at] = text;
    cells[at].textContent = text ?? '';
    if (at === 3) cells[at].title = text;
  });
  cells[2].classList.toggle('away', away);
  const brief = `${session.call_type} · ${away ? 'browser away' : session.phase}`;
  if (session.brief.textContent !== brief) session.brief.textContent = brief;
  session.brief.classList.toggle('away', away);
  spark(session);
}

/** The rates of the last minute, now at the right, over a base line. A steady rate leaves room for a peak above it. */
function spark({ canvas, spark: points }) {
  const pen = canvas.getContext('2d');
  const { width, height } = canvas;
  const base = height - 4;
  pen.clearRect(0, 0, width, height);
  pen.lineJoin = 'round';
  pen.lineWidth = 2;
  pen.strokeStyle = colours.base;
  pen.beginPath();
  pen.moveTo(0, base);
  pen.lineTo(width, base);
  pen.stroke();
  if (points.length < 2) return;
  const mean = points.reduce((sum, one) => sum + one, 0) / points.length;
  const top = Math.max(1, 2 * mean, ...points);
  const x = (at) => width - 2 - ((points.length - 1 - at) / (SPARK - 1)) * (width - 4);
  const y = (rate) => base - (rate / top) * (base - 4);
  pen.beginPath();
  points.forEach((rate, at) => (at ? pen.lineTo(x(at), y(rate)) : pen.moveTo(x(at), y(rate))));
  pen.lineWidth = 3;
  pen.strokeStyle = colours.line;
  pen.stroke();
  pen.lineTo(x(points.length - 1), base);
  pen.lineTo(x(0), base);
  pen.fillStyle = colours.area;
  pen.fill();
}

let colours;
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => (colours = dark.matches
  ? { line: '#5fd0ba', area: '#5fd0ba33', base: '#3d464c' }
  : { line: '#0b6b5d', area: '#0b6b5d26', base: '#cfd5d4' });
dark.addEventListener('change', paint);
paint();

function totals() {
  const all = [...sessions.values()];
  const sum = (key) => all.reduce((total, session) => total + session[key], 0);
  const away = all.filter((session) => session.browser === 'away').length;
  const calls = all.filter((session) => session.call_type !== 'chat').length;
  const replicas = new Set(all.map((session) => session.replica)).size;
  const cells = [
    [counted(all.length, 'live session'), all.length, limits.max_sessions ? `of ${limits.max_sessions}` : ''],
    [counted(calls, 'call'), calls, ''],
    [away === 1 ? 'browser away' : 'browsers away', away, ''],
    ['frames/s', sum('rate').toFixed(0), ''],
    ['relayed', ...size(sum('flow'))],
    [counted(replicas, 'replica'), replicas || '–', ''],
  ];
  fill($('totals'), cells.map(([name, figure, unit]) => [name, String(figure), unit]), true);
}

$('filter').addEventListener('input', arrange);
for (const head of document.querySelectorAll('th[data-key]')) {
  head.firstElementChild.addEventListener('click', () => {
    const { key } = head.dataset;
    sort = { key, up: sort.key === key ? !sort.up : key !== 'rate' };
    heads();
    arrange();
  });
}
function heads() {
  for (const head of document.querySelectorAll('th[data-key]')) {
    if (head.dataset.key === sort.key) head.setAttribute('aria-sort', sort.up ? 'ascending' : 'descending');
    else head.removeAttribute('aria-sort');
  }
}
heads();

// ---- health ----

let limits = {};
let queue = null; // who waits for the vendor, on all replicas

async function health() {
  const response = await fetch('readyz', { cache: 'no-store', credentials: 'omit' });
  const said = await response.json().catch(() => ({}));
  limits = said.limits ?? limits;
  const why = [].concat(said.reason ?? said.reasons ?? said.detail ?? 'not ready').join(', ');
  const waiting = queue?.waiting ? ` · ${queue.waiting} waiting` : '';
  const text = (response.ok ? 'Ready' : `Not ready: ${why}`) + waiting;
  if ($('health').textContent !== text) $('health').textContent = text;
  $('health').classList.toggle('bad', !response.ok);
  $('health').title = Object.entries(limits).map(([name, most]) => `${name}: ${most}`).join('\n');
  await drift().catch(() => {}); // an older replica has no such route
}

// ---- what the vendor sends that is not known ----

async function drift() {
  const { shapes, omitted } = await (await ask('v1/drift')).json();
  const lines = shapes.map(({ kind, count, shape }) => `${kind} x${count} ${JSON.stringify(shape)}`);
  if (omitted) lines.push(`${omitted} ${counted(omitted, 'frame')} beyond what is kept`);
  const text = lines.join('\n');
  if ($('drift-shapes').textContent === text) return;
  $('drift-shapes').textContent = text;
  $('drift-summary').textContent = `The vendor sends ${shapes.length} ${counted(shapes.length, 'shape')} of frames that this gateway does not know`;
  $('drift').hidden = !lines.length;
}

// ---- one session ----

async function watch(id) {
  unwatch();
  const abort = new AbortController();
  watched = { id, abort };
  const session = sessions.get(id);
  session?.row?.setAttribute('aria-current', 'true');
  showDetail(true);
  $('detail-name').textContent = session ? `${session.agent} · ${id}` : id;
  $('detail-id').textContent = id;
  $('timeline').replaceChildren();
  $('end').disabled = false;
  facts();
  $('detail').focus();
  for (let wait = 1000; !abort.signal.aborted; wait = Math.min(wait * 2, 15_000)) {
    try {
      $('watching').textContent = 'Connecting…';
      const response = await ask(`v1/sessions/${encodeURIComponent(id)}/watch`, { signal: abort.signal });
      $('watching').textContent = 'Live';
      wait = 1000;
      for await (const event of events(response.body)) {
        show(event);
        if (event.kind === 'end') return over();
      }
      if (abort.signal.aborted) return;
    } catch (error) {
      if (abort.signal.aborted) return;
      if ([401, 403].includes(error.status)) {
        $('watching').textContent = error.message;
        return;
      }
      if (error.status === 404) return over();
      $('watching').textContent = error.message;
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

function over() {
  $('watching').textContent = 'This session has ended.';
  $('end').disabled = true;
}

/** The events of a stream (WHATWG server-sent events; EventSource itself cannot send a token). */
async function* events(body) {
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

/** Events come by hundreds a second in a flood: they are put on the page once per animation frame. */
let coming = [];
function show(event) {
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
function line({ at, kind, direction, type, name, tool, state, code, reason, bytes, content, missed }) {
  const item = make('li', { tool: 'tool', phase: 'phase', browser: 'phase', end: 'phase' }[kind] ?? '');
  const arrow = { from_upstream: ' ←', from_browser: ' →' }[direction] ?? '';
  const hasContent = content !== undefined && content !== null;
  const row = make(hasContent ? 'summary' : 'div', 'row');
  const what = make('span', 'what');
  const fallback = missed && `(${missed} ${counted(missed, 'event')} missed)`;
  what.append(make('b', '', [type, name, tool, state, code, reason, fallback].filter(Boolean).join(' ')));
  if (hasContent) what.append(make('span', 'said', ` ${gist(content)}`));
  row.append(
    make('time', '', clock(at)),
    make('span', 'kind', `${kind ?? ''}${arrow}`),
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
  const rest = content?.result ?? content ?? result ?? data ?? frame.request;
  if (rest !== undefined && rest !== null) return JSON.stringify(rest);
  const { type, name, timestamp, ...more } = frame;
  return Object.keys(more).length ? JSON.stringify(more) : '';
}

function clock(at) {
  const date = new Date(typeof at === 'number' ? at * 1000 : at);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString('en-GB', { hour12: false });
}

function facts() {
  const session = sessions.get(watched.id);
  if (!session) return;
  const way = (name) => {
    const frames = session[`frames_${name}`] ?? 0;
    return `${frames} ${counted(frames, 'frame')}, ${size(session[`bytes_${name}`] ?? 0, '').join(' ')}`;
  };
  fill($('facts'), [
    ['Call type', session.call_type],
    ['Phase', session.phase],
    ['Subject', session.subject ?? '–'],
    ['Browser', session.browser === 'away' ? 'away, may resume' : 'here'],
    ['Age', span(age(session))],
    ['From browser', way('in')],
    ['To browser', way('out')],
    ['Replica', session.replica ?? '–'],
  ].map((pair) => [...pair, '']), false);
}

/** A class and no :has() in the style sheet, which would be judged anew with each row that changes. */
function showDetail(shown) {
  $('detail').hidden = !shown;
  $('detail').parentElement.classList.toggle('split', shown);
}

function unwatch() {
  if (!watched) return;
  watched.abort.abort();
  sessions.get(watched.id)?.row?.removeAttribute('aria-current');
  watched = null;
  coming = [];
  showDetail(false);
}

$('close').addEventListener('click', () => {
  const row = sessions.get(watched?.id)?.row;
  unwatch();
  row?.querySelector('button').focus();
});

/** Without the clipboard (a page that is not served over HTTPS) the id is selected. */
$('copy').addEventListener('click', async () => {
  const id = $('detail-id');
  try {
    await navigator.clipboard.writeText(id.textContent);
    $('copy').textContent = 'Copied';
    setTimeout(() => ($('copy').textContent = 'Copy the id'), 2000);
  } catch {
    getSelection().selectAllChildren(id);
  }
});

$('end').addEventListener('click', () => {
  $('sure').returnValue = 'no';
  $('sure').showModal();
});

$('sure').addEventListener('close', async () => {
  if ($('sure').returnValue !== 'yes' || !watched) return;
  try {
    await ask(`v1/sessions/${encodeURIComponent(watched.id)}`, { method: 'DELETE' });
    over();
  } catch (error) {
    $('watching').textContent = error.message;
  }
});

// ---- small things ----

/** Terms and figures into a list, touching only what changed. */
function fill(list, cells, wrapped) {
  if (list.childElementCount !== cells.length * (wrapped ? 1 : 2)) {
    list.replaceChildren(...cells.flatMap(([name]) => {
      const pair = [make('dt', '', name), make('dd')];
      if (!wrapped) return pair;
      const cell = make('div');
      cell.append(...pair);
      return [cell];
    }));
  }
  const names = list.querySelectorAll('dt');
  const figures = list.querySelectorAll('dd');
  cells.forEach(([name, figure, unit], at) => {
    if (names[at].textContent !== name) names[at].textContent = name;
    const text = `${figure}${unit}`;
    if (figures[at].dataset.text === text) return;
    figures[at].dataset.text = text;
    figures[at].replaceChildren(figure, ...(unit ? [' ', make('small', '', unit)] : []));
  });
}

/** A noun after a count. */
const counted = (count, noun) => (count === 1 ? noun : `${noun}s`);

function span(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

function size(count, per = '/s') {
  if (count < 1024) return [count.toFixed(0), `B${per}`];
  if (count < 1024 ** 2) return [(count / 1024).toFixed(1), `KiB${per}`];
  return [(count / 1024 ** 2).toFixed(1), `MiB${per}`];
}

function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}
