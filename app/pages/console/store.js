/**
 * The live sessions that this page knows: pages of the gateway's list, by cursor, each brought up to
 * date by itself. Up to `SORTABLE` sessions are loaded whole, and can be sorted; of more, those that
 * somebody scrolls to, in the gateway's order. A search may have many short pages, some of them empty.
 */

import { ask } from './api.js';
import { moment } from './format.js';

export const SORTABLE = 1000;
export const BUDGET = 1000; // ms after which no further page is asked for in one turn
const PAGE = 200;
const SPARK = 60; // samples of a spark line
const STALE = 6000; // ms after which two samples make no rate

export class Sessions {
  constructor() {
    this.clear('');
  }

  clear(search) {
    this.search = search;
    this.rows = new Map(); // id → what is known of it
    this.pages = []; // {from, to}: sessions after `from`, up to and with `to`; null is open
    this.total = 0;
    this.queue = null;
    this.rest = null; // the page with which the next turn of `refresh` begins
    this.visit = (this.visit ?? 0) + 1;
  }

  /** Whether every session that fits is here. */
  get complete() {
    return this.pages.length > 0 && this.pages.at(-1).to === null;
  }

  get sortable() {
    return this.complete && this.rows.size <= SORTABLE;
  }

  /** Load one more page; false where there is none. */
  async more() {
    if (this.complete) return false;
    const from = this.pages.at(-1)?.to ?? null;
    const page = { from, to: null };
    const visit = this.visit;
    const found = await this.#fetched(page);
    if (visit !== this.visit) return false;
    page.to = found.next ?? null;
    this.pages.push(page);
    this.#merge(page, found.sessions);
    return true;
  }

  /** Load pages until `count` sessions are here, there is no more, or the time is over. */
  async fill(count = SORTABLE) {
    const until = performance.now() + BUDGET;
    while (this.rows.size < count && performance.now() < until && await this.more());
  }

  /** Bring pages up to date: all, or those between two ids; in turn, where there is no time for all. */
  async refresh(first = null, last = null) {
    const visit = this.visit;
    const until = performance.now() + BUDGET;
    const wanted = this.pages.filter(({ from, to }) => (last === null || from === null || from < last) && (first === null || to === null || to >= first));
    const begin = Math.max(0, wanted.indexOf(this.rest));
    for (const page of [...wanted.slice(begin), ...wanted.slice(0, begin)]) {
      if (!this.pages.includes(page)) continue;
      this.rest = page;
      if (performance.now() > until) return;
      const found = await this.#fetched(page);
      if (visit !== this.visit) return;
      this.#fit(page, found.next ?? null);
      this.#merge(page, found.sessions);
    }
    this.rest = null;
  }

  /** A page that no longer reaches as far as it did leaves the rest to a new one; one that reaches further takes others in. */
  #fit(page, next) {
    const at = this.pages.indexOf(page);
    if (next === null || (page.to !== null && next >= page.to)) {
      const reached = (other) => other && (next === null || (other.to !== null && other.to <= next));
      while (reached(this.pages[at + 1])) [{ to: page.to }] = this.pages.splice(at + 1, 1);
      if (at === this.pages.length - 1) page.to = next;
      return;
    }
    const rest = { from: next, to: page.to };
    const wasLast = at === this.pages.length - 1;
    page.to = next;
    if (!wasLast || rest.to !== null) this.pages.splice(at + 1, 0, rest);
  }

  async #fetched(page) {
    const query = new URLSearchParams({ limit: PAGE, ...(page.from && { cursor: page.from }), ...(this.search && { search: this.search }) });
    const found = await (await ask(`v1/sessions?${query}`)).json();
    this.total = found.total ?? 0;
    this.queue = found.queue ?? null;
    return found;
  }

  #merge({ from, to }, found) {
    const inside = (id) => (from === null || id > from) && (to === null || id <= to);
    const fresh = new Map(found.filter(({ id }) => inside(id)).map((row) => [row.id, row]));
    for (const id of [...this.rows.keys()]) if (inside(id) && !fresh.has(id)) this.rows.delete(id);
    for (const row of fresh.values()) this.#take(row);
  }

  #take(fresh) {
    const now = performance.now();
    const frames = (fresh.frames_in ?? 0) + (fresh.frames_out ?? 0);
    const octets = (fresh.bytes_in ?? 0) + (fresh.bytes_out ?? 0);
    const known = this.rows.get(fresh.id);
    const counts = { frames, octets, at: now };
    if (!known) {
      this.rows.set(fresh.id, { ...fresh, ...counts, rate: 0, flow: 0, spark: [], started: moment(fresh.started_at) });
      return;
    }
    const passed = Math.max(1, now - known.at);
    const rates = { rate: Math.max(0, frames - known.frames) * 1000 / passed, flow: Math.max(0, octets - known.octets) * 1000 / passed };
    if (passed > STALE) Object.assign(rates, { rate: 0, flow: 0, spark: [] });
    Object.assign(known, fresh, counts, rates);
    if (passed <= STALE) known.spark.push(known.rate);
    if (known.spark.length > SPARK) known.spark.shift();
  }
}
