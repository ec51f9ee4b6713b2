/** One session: its facts, its chat and its timeline, as they happen. */

import { access, ask, events, session as route } from './api.js';
import { $, asked, fill, say } from './dom.js';
import { counted, size, span } from './format.js';
import * as talk from './talk.js';
import * as timeline from './timeline.js';

export class Detail {
  /** `list` is the table that a session is chosen in; `store` what is known of sessions. */
  constructor(store, list) {
    this.store = store;
    this.list = list;
    this.watched = null; // {id, row, abort, ended}
    $('close').addEventListener('click', () => this.#back());
    $('copy').addEventListener('click', () => copy());
    $('end').addEventListener('click', () => this.#end());
  }

  /** Open a session; `row` is what is known of it, where it is not in the list. */
  async open(id, row = null) {
    this.close();
    const abort = new AbortController();
    const here = { id, row: this.store.rows.get(id) ?? row, abort, ended: false };
    this.watched = here;
    this.list.choose(id);
    this.#shown(true);
    say($('detail-name'), here.row ? `${here.row.agent} · ${id}` : id);
    say($('detail-id'), id);
    timeline.clear();
    $('end').disabled = false;
    $('end').hidden = !access.may('operator');
    talk.open(id);
    this.update();
    $('detail').focus();
    await this.#follow(here);
  }

  close() {
    if (!this.watched) return;
    this.watched.abort.abort();
    this.watched = null;
    this.list.choose(null);
    timeline.clear();
    talk.close();
    this.#shown(false);
  }

  /** Show what the list knows now; a session that it does not hold is asked for by itself. */
  async refresh() {
    const here = this.watched;
    if (!here || here.ended) return;
    if (!this.store.rows.has(here.id)) {
      const fresh = await ask(route(here.id)).then((answer) => answer.json(), (error) => ({ status: error.status }));
      if (this.watched !== here) return;
      if (fresh.status === 404) return this.#over(here);
      if (fresh.id) here.row = fresh;
    }
    this.update();
  }

  update() {
    if (!this.watched) return;
    const session = this.store.rows.get(this.watched.id) ?? this.watched.row;
    this.watched.row = session;
    talk.update(this.watched.ended ? null : session);
    if (!session) return;
    say($('detail-name'), `${session.agent} · ${session.id}`);
    const way = (name) => {
      const frames = session[`frames_${name}`] ?? 0;
      return `${frames} ${counted(frames, 'frame')}, ${size(session[`bytes_${name}`] ?? 0, '').join(' ')}`;
    };
    fill($('facts'), [
      ['Call type', session.call_type],
      ['Phase', session.phase],
      ['Subject', session.subject ?? '–'],
      ['Browser', session.browser === 'away' ? 'away, may resume' : 'here'],
      ['Age', span(Math.max(0, Date.now() / 1000 - session.started_at))],
      ['From browser', way('in')],
      ['To browser', way('out')],
      ['Replica', session.replica ?? '–'],
    ], false);
  }

  async #follow(here) {
    const { id, abort } = here;
    let broken = false;
    for (let wait = 1000; !abort.signal.aborted; wait = Math.min(wait * 2, 15_000)) {
      try {
        say($('watching'), 'Connecting…');
        const response = await ask(route(id, '/watch'), { signal: abort.signal });
        say($('watching'), 'Live');
        wait = 1000;
        if (broken) talk.catchUp();
        for await (const event of events(response.body)) {
          if (this.watched !== here) return;
          timeline.show(event);
          talk.hear(event);
          if (event.kind === 'end') return this.#over(here);
          if (event.kind === 'takeover') await this.#takeover(here);
        }
      } catch (error) {
        if (abort.signal.aborted) return;
        if (error.status === 404) return this.#over(here);
        say($('watching'), error.message);
        if ([401, 403].includes(error.status)) return;
      }
      if (abort.signal.aborted) return;
      broken = true;
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  /** Who speaks has changed: the list learns it within seconds, this page at once. */
  async #takeover(here) {
    const fresh = await ask(route(here.id)).then((answer) => answer.json(), () => null);
    if (this.watched !== here || !fresh) return;
    const known = this.store.rows.get(here.id);
    if (known) Object.assign(known, fresh);
    here.row = known ?? fresh;
    if (!fresh.takeover) talk.forget(here.id);
    this.update();
  }

  #over(here) {
    here.ended = true;
    say($('watching'), 'This session has ended.');
    $('end').disabled = true;
    talk.forget(here.id, 'This conversation has ended.');
    if (this.watched === here) this.update();
  }

  async #end() {
    if (await asked($('sure')) !== 'yes' || !this.watched) return;
    const here = this.watched;
    try {
      await ask(route(here.id), { method: 'DELETE' });
      this.#over(here);
    } catch (error) {
      say($('watching'), error.message);
    }
  }

  #back() {
    const id = this.watched?.id;
    this.close();
    this.list.render();
    this.list.focus(id);
  }

  /** A class and no :has() in the style sheet, which would be judged anew with each row that changes. */
  #shown(shown) {
    $('detail').hidden = !shown;
    $('detail').parentElement.classList.toggle('split', shown);
    $('live').classList.toggle('one', shown);
    this.list.render();
  }
}

/** Without the clipboard (a page that is not served over HTTPS) the id is selected. */
async function copy() {
  try {
    await navigator.clipboard.writeText($('detail-id').textContent);
    say($('copy'), 'Copied');
    setTimeout(() => say($('copy'), 'Copy the id'), 2000);
  } catch {
    getSelection().selectAllChildren($('detail-id'));
  }
}
