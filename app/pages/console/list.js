/** The table of live sessions: of thousands, only the rows that can be seen are in the document. */

import { $, button, make, say } from './dom.js';
import { span } from './format.js';
import { draw } from './spark.js';
import { SORTABLE } from './store.js';

const OVERSCAN = 8; // rows above and below what is seen
const age = (session) => Math.max(0, (Date.now() - session.started) / 1000);
const value = (session, key) => (key === 'age' ? age(session) : session[key] ?? '');

export class SessionList {
  /** `open` is called with the id of a session that was chosen, `scrolled` when more may be wanted. */
  constructor(store, open, scrolled) {
    this.store = store;
    this.open = open;
    this.scrolled = scrolled;
    this.sort = { key: 'age', up: true };
    this.current = null;
    this.order = [];
    this.rows = new Map(); // id → its row in the document
    this.height = 44;
    this.pane = $('sessions-pane');
    this.before = this.#space();
    this.after = this.#space();
    $('rows').append(this.before, this.after);
    this.pane.addEventListener('scroll', () => this.#later(), { passive: true });
    addEventListener('resize', () => this.#later());
    $('rows').addEventListener('keydown', (event) => this.#keys(event));
    for (const head of document.querySelectorAll('th[data-key]')) {
      head.firstElementChild.addEventListener('click', () => this.#sortBy(head.dataset.key));
    }
  }

  clear() {
    for (const id of [...this.rows.keys()]) this.#drop(id);
    this.order = [];
    this.#heads();
  }

  /** Put the sessions in their order, and those that can be seen on the page. */
  arrange() {
    const sessions = [...this.store.rows.values()];
    if (this.store.sortable) {
      const up = this.sort.up ? 1 : -1;
      sessions.sort((a, b) => {
        const [x, y] = [value(a, this.sort.key), value(b, this.sort.key)];
        return (x < y ? -up : x > y ? up : 0) || (a.id < b.id ? -1 : 1);
      });
    } else {
      sessions.sort((a, b) => (a.id < b.id ? -1 : 1));
    }
    this.order = sessions;
    this.#heads();
    this.render();
    const { search, total, complete } = this.store;
    $('empty').hidden = sessions.length > 0 || !complete;
    say($('empty'), search ? 'No session fits the filter.' : 'No live sessions.');
    const found = `${sessions.length}${complete ? '' : '+'}`;
    say($('shown'), search ? `${found} of ${total}` : complete ? '' : `${sessions.length} of ${total} loaded`);
    $('table').setAttribute('aria-rowcount', String(complete ? sessions.length + 1 : -1));
  }

  /** The ids of the first and the last session that can be seen, in the gateway's order. */
  seen() {
    const ids = this.order.slice(...this.#range()).map(({ id }) => id).sort();
    return [ids[0] ?? null, ids.at(-1) ?? null];
  }

  get nearEnd() {
    return this.#range()[1] >= this.order.length - OVERSCAN;
  }

  render() {
    const [first, last] = this.#range();
    const wanted = this.order.slice(first, last);
    const ids = new Set(wanted.map(({ id }) => id));
    for (const id of [...this.rows.keys()]) if (!ids.has(id)) this.#drop(id);
    let at = this.before.nextElementSibling;
    wanted.forEach((session, place) => {
      const row = this.rows.get(session.id) ?? this.#make(session);
      if (row === at) at = at.nextElementSibling;
      else $('rows').insertBefore(row, at);
      this.#draw(row, session, first + place);
    });
    this.before.firstElementChild.style.height = `${first * this.height}px`;
    this.after.firstElementChild.style.height = `${(this.order.length - last) * this.height}px`;
    const height = this.before.nextElementSibling.getBoundingClientRect().height;
    if (wanted.length && height && Math.abs(height - this.height) > 0.5) {
      this.height = height;
      this.#later();
    }
  }

  choose(id) {
    this.current = id;
    for (const [one, row] of this.rows) row.toggleAttribute('aria-current', one === id);
  }

  focus(id) {
    (this.rows.get(id)?.querySelector('button') ?? this.pane).focus();
  }

  #range() {
    const top = Math.max(0, this.pane.scrollTop - 40);
    const first = Math.max(0, Math.floor(top / this.height) - OVERSCAN);
    const count = Math.ceil((this.pane.clientHeight || 600) / this.height) + 2 * OVERSCAN;
    return [Math.min(first, this.order.length), Math.min(this.order.length, first + count)];
  }

  #later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.render();
      this.scrolled();
    });
  }

  #space() {
    const row = make('tr', 'space');
    row.setAttribute('aria-hidden', 'true');
    const cell = make('td');
    cell.colSpan = 7;
    row.append(cell);
    return row;
  }

  #drop(id) {
    const row = this.rows.get(id);
    if (row.contains(document.activeElement)) this.pane.focus({ preventScroll: true });
    row.remove();
    this.rows.delete(id);
  }

  #make(session) {
    const row = make('tr');
    row.dataset.id = session.id;
    // The whole row opens it; the button is for the keyboard. Text that was just selected is wanted for itself.
    row.addEventListener('click', () => getSelection()?.toString() || this.open(session.id));
    const first = make('td');
    first.append(button(session.agent), make('span', 'brief'));
    const canvas = make('canvas');
    canvas.width = 320;
    canvas.height = 56;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', 'Frames per second of late');
    const last = make('td');
    last.append(canvas);
    row.append(first, make('td'), make('td'), make('td'), make('td', 'number'), make('td', 'number'), last);
    row.toggleAttribute('aria-current', this.current === session.id);
    this.rows.set(session.id, row);
    return row;
  }

  #draw(row, session, place) {
    const cells = row.children;
    const away = session.browser === 'away';
    const taken = session.takeover ? `taken over by ${session.takeover.operator}` : '';
    const phase = [session.phase, away && 'browser away', taken].filter(Boolean).join(', ');
    const texts = [null, session.call_type, phase, session.subject ?? '–', span(age(session)), session.rate.toFixed(1)];
    texts.forEach((text, at) => text === null || say(cells[at], text));
    cells[2].classList.toggle('away', away);
    cells[2].title = phase;
    cells[3].title = texts[3];
    const brief = row.querySelector('.brief');
    say(brief, `${session.call_type} · ${taken || (away ? 'browser away' : session.phase)}`);
    brief.classList.toggle('away', away);
    row.setAttribute('aria-rowindex', String(place + 2));
    draw(row.querySelector('canvas'), session.spark);
  }

  #keys(event) {
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    const next = step && event.target.closest('tr')?.[step]?.querySelector('button');
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  #sortBy(key) {
    if (!this.store.sortable) return;
    this.sort = { key, up: this.sort.key === key ? !this.sort.up : key !== 'rate' };
    this.arrange();
  }

  #heads() {
    const { sortable } = this.store;
    for (const head of document.querySelectorAll('th[data-key]')) {
      const sorted = sortable && head.dataset.key === this.sort.key;
      if (sorted) head.setAttribute('aria-sort', this.sort.up ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
      head.firstElementChild.disabled = !sortable;
      head.title = sortable ? '' : `Up to ${SORTABLE} sessions can be sorted: narrow the filter.`;
    }
  }
}
