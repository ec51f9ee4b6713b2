/** Tables that are read a page at a time: the audit log, and deliveries to webhooks. */

import { access, ask, send } from './api.js';
import { $, button, make, say, tell } from './dom.js';
import { dated } from './format.js';

class Entries {
  /** `name` begins the ids of its elements; `cells` makes a row's texts, `query` what is asked for. */
  constructor(name, path, member, query, cells) {
    Object.assign(this, { name, path, member, query, cells, cursor: null });
    $(`${name}-more`).addEventListener('click', () => this.#load());
  }

  async show() {
    this.cursor = null;
    await this.#load(true);
  }

  async #load(anew = false) {
    const query = new URLSearchParams({ limit: 50, ...this.query(), ...(this.cursor && { cursor: this.cursor }) });
    try {
      const page = await (await ask(`${this.path}?${query}`)).json();
      const rows = page[this.member].map((entry) => this.#row(entry));
      if (anew) $(`${this.name}-rows`).replaceChildren(...rows);
      else $(`${this.name}-rows`).append(...rows);
      this.cursor = page.next;
      tell($(`${this.name}-fault`), '');
      if (!anew) rows[0]?.firstElementChild.focus?.();
    } catch (error) {
      tell($(`${this.name}-fault`), error.message);
      if (error.status === 401) throw error;
    }
    $(`${this.name}-more`).hidden = !this.cursor;
    $(`${this.name}-empty`).hidden = $(`${this.name}-rows`).childElementCount > 0 || !$(`${this.name}-fault`).hidden;
  }

  #row(entry) {
    const row = make('tr');
    row.append(...this.cells(entry).map(([label, content]) => {
      const cell = make('td');
      cell.dataset.label = label;
      cell.append(content ?? '');
      return cell;
    }));
    return row;
  }
}

const seconds = (id) => ($(id).value ? String(new Date($(id).value).getTime() / 1000) : '');

function auditQuery() {
  const given = { actor: $('audit-actor').value.trim(), action: $('audit-action').value.trim(), target: $('audit-target').value.trim(), since: seconds('audit-since'), until: seconds('audit-until') };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value));
}

export const audit = new Entries('audit', 'v1/audit', 'entries', auditQuery, (entry) => [
  ['When', dated(entry.at)],
  ['Who', entry.actor],
  ['Role', entry.role],
  ['Action', entry.action],
  ['To what', entry.target],
  ['Details', Object.entries(entry.details ?? {}).map(([name, value]) => `${name}: ${value}`).join(', ')],
]);

const deliveriesQuery = () => ($('deliveries-status').value ? { status: $('deliveries-status').value } : {});

export const deliveries = new Entries('deliveries', 'v1/deliveries', 'deliveries', deliveriesQuery, (entry) => [
  ['Created', dated(entry.created_at)],
  ['What', [entry.type ?? entry.event ?? entry.kind, entry.receiver].filter(Boolean).join(' → ')],
  ['Session', entry.session_id ?? entry.conversation_id ?? '–'],
  ['Status', status(entry)],
  ['Tries', String(entry.attempts ?? '–')],
]);

/** How a delivery stands; an admin may have it sent again. */
function status(entry) {
  const cell = make('span', 'status');
  cell.append((entry.status ?? entry.state ?? '').replace('_', ' '));
  if (!access.may('admin')) return cell;
  const again = button('Send again', '', async () => {
    again.disabled = true;
    try {
      await send('POST', `v1/deliveries/${encodeURIComponent(entry.id)}/redeliver`);
      say(again, 'Sent again');
    } catch (error) {
      tell($('deliveries-fault'), error.message);
      again.disabled = false;
    }
  });
  again.setAttribute('aria-label', `Send ${entry.id} again`);
  cell.append(' ', again);
  return cell;
}

export function prepare() {
  $('audit-filter').addEventListener('submit', (event) => {
    event.preventDefault();
    audit.show();
  });
  $('deliveries-status').addEventListener('change', () => deliveries.show());
}
