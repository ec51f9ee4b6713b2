/** The widget's fixed nodes, built once in its shadow root, and what they show in each state. */

import { element, icon, label } from './dom.js';

const KEYS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];

/** States of the panel, the client's and 'idle', and the names of their texts. */
const STATUS = { idle: 'idle', connecting: 'connecting', queued: 'queued', live: 'live', resuming: 'resuming', ending: 'ending', ended: 'closed' };

/** Build the panel; the result is every node that has an id, by its id, with the panel as `panel`. */
export function buildPanel(root) {
  const panel = element('section', { class: 'panel', 'data-state': 'idle', tabindex: '-1' },
    header(), call(), conversation(), start(), composer(),
    element('div', { id: 'spoken', class: 'spoken', 'aria-live': 'polite' }));
  root.append(panel);
  const byId = Object.fromEntries([...panel.querySelectorAll('[id]')].map((node) => [node.id, node]));
  return { ...byId, panel };
}

function button(id, className, picture, more = {}) {
  return element('button', { id, class: className, part: 'button', type: 'button', ...more }, ...(picture ? [icon(picture)] : []));
}

function header() {
  return element('header', { class: 'header', part: 'header' },
    element('span', { class: 'avatar' }, icon('agent')),
    element('div', { class: 'who' },
      element('h2', { id: 'heading' }),
      element('p', { class: 'status' }, element('span', { class: 'dot' }), element('span', { id: 'status', role: 'status' }))),
    button('end', 'icon', 'close', { hidden: true }));
}

function call() {
  return element('div', { id: 'call', class: 'call', role: 'group', hidden: true },
    element('div', { class: 'controls' },
      element('p', { id: 'time', class: 'time' }),
      button('mute', 'icon', 'microphone', { 'aria-pressed': 'false' }),
      button('pad', 'icon', 'keypad', { 'aria-expanded': 'false', 'aria-controls': 'keys' }),
      button('choose', 'icon', 'devices', { 'aria-expanded': 'false', 'aria-controls': 'devices' }),
      button('hang', 'icon danger', 'hangUp')),
    element('button', { id: 'hear', class: 'primary', part: 'button', type: 'button', hidden: true },
      icon('speaker'), element('span', { 'data-text': 'hear' })),
    element('div', { class: 'meters', 'aria-hidden': 'true' }, ...meter('you', 'mine'), ...meter('agent', 'theirs')),
    element('div', { id: 'keys', class: 'keys', role: 'group', hidden: true },
      ...KEYS.map((key) => element('button', { type: 'button' }, key))),
    element('div', { id: 'devices', class: 'devices', hidden: true },
      device('microphone', 'mics'), device('speaker', 'speakers')));
}

function meter(text, id) {
  return [element('span', { 'data-text': text }), element('span', { class: 'meter' }, element('i', { id }))];
}

function device(text, id) {
  return element('label', {}, element('span', { 'data-text': text }), element('select', { id }));
}

function conversation() {
  return element('div', { id: 'view', class: 'view', hidden: true },
    element('div', { id: 'log', class: 'log', part: 'log', role: 'log', 'aria-live': 'off', tabindex: '0' }),
    element('button', { id: 'newer', class: 'newer', part: 'button', type: 'button', hidden: true },
      icon('down'), element('span', { 'data-text': 'newMessages' })));
}

function start() {
  return element('div', { id: 'start', class: 'start alone' },
    element('p', { id: 'intro' }),
    element('div', { class: 'choices' }, button('chat', 'primary'), button('ring', 'primary')));
}

function composer() {
  // No form: a sandboxed frame without allow-forms would take its submission away.
  return element('div', { id: 'composer', class: 'composer', part: 'composer', hidden: true },
    element('textarea', { id: 'message', rows: '1', dir: 'auto', enterkeyhint: 'send', autocomplete: 'off' }),
    button('send', 'primary', 'send', { disabled: true }));
}

/** What of the panel is there in a state; `talking`: there is a conversation to write to. */
export function showState({ panel, status, view, start, intro, composer, end, call }, state, talking, texts) {
  const over = state === 'ended' || state === 'idle';
  panel.dataset.state = state;
  status.textContent = texts[STATUS[state]];
  view.hidden = state === 'idle';
  start.classList.toggle('alone', state === 'idle');
  start.hidden = !over;
  intro.hidden = state !== 'idle';
  composer.hidden = !talking;
  end.hidden = over || state === 'ending' || !call.hidden;
}

export function putTexts(nodes, texts, { heading, intro }) {
  nodes.heading.textContent = heading ?? texts.heading;
  nodes.intro.textContent = intro ?? texts.intro;
  const named = { panel: nodes.heading.textContent, log: texts.log, call: texts.inCall, keys: texts.keypad, message: texts.message };
  for (const [id, text] of Object.entries(named)) nodes[id].setAttribute('aria-label', text);
  nodes.message.placeholder = texts.placeholder;
  const buttons = { end: 'end', hang: 'hangUp', mute: 'mute', pad: 'keypad', choose: 'devices', send: 'send' };
  for (const [id, text] of Object.entries(buttons)) label(nodes[id], texts[text]);
  for (const node of nodes.panel.querySelectorAll('[data-text]')) node.textContent = texts[node.dataset.text];
  for (const key of nodes.keys.children) key.setAttribute('aria-label', `${texts.key} ${key.textContent}`);
  nodes.status.textContent = texts[STATUS[nodes.panel.dataset.state]];
}

/** The start buttons: `written` is a call type that is read along, `calls` whether calls are offered, `again` whether there was one. */
export function offerStarts({ chat, ring }, texts, { written, calls, again }) {
  chat.hidden = !written;
  ring.hidden = !calls;
  ring.classList.toggle('quiet', Boolean(written) && calls);
  chat.textContent = again ? texts.again : texts[written === 'onPhone' ? 'startCall' : 'startChat'];
  ring.replaceChildren(icon('phone'), again ? texts.again : texts.startCall);
}
