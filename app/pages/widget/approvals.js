/** Cards that ask whether a tool may run: what it is, its exact arguments, and two buttons. */

import { element, make } from './dom.js';

/** A value as people read it: texts as they are, all else as JSON. */
const shown = (value) => (typeof value === 'string' ? value : JSON.stringify(value, null, 1));

export class ApprovalCards {
  #messages;
  #texts;
  #focus;
  #cards = new Map(); // id → {card, choices}

  /** `texts` gives the texts of now; `focus` takes the focus of a button that goes. */
  constructor(messages, texts, focus) {
    this.#messages = messages;
    this.#texts = texts;
    this.#focus = focus;
  }

  /** Ask; `answer(approve)` is called once, by whichever button. */
  ask({ id, tool, args }, answer) {
    const texts = this.#texts();
    const title = texts.approvalAsked.replace('{tool}', () => tool);
    const name = `approval-${this.#cards.size}-${Date.now()}`;
    const choices = element('div', { class: 'choices' });
    for (const [approve, text, style] of [[true, texts.approve, 'primary'], [false, texts.decline, 'primary quiet']]) {
      const button = element('button', { type: 'button', class: style, part: 'button' }, text);
      button.addEventListener('click', () => {
        this.#focus(choices);
        for (const each of choices.children) each.disabled = true;
        answer(approve);
      });
      choices.append(button);
    }
    const card = element('div', { class: 'approval', part: 'approval', role: 'group', 'aria-labelledby': name },
      element('p', { id: name, class: 'asked', dir: 'auto' }, title), this.#arguments(args), choices);
    this.#cards.set(id, { card, choices });
    this.#messages.add(card);
    this.#messages.speak(title);
  }

  /** It is decided, here or elsewhere, or was not in time. */
  settled({ id, approved }) {
    const known = this.#cards.get(id);
    if (!known) return;
    this.#cards.delete(id);
    const { card, choices } = known;
    this.#focus(choices);
    const text = this.#texts()[approved ? 'approved' : 'declined'];
    choices.replaceWith(make('p', 'decided', text));
    card.classList.add('settled');
    this.#messages.speak(text);
  }

  /** Nothing of an earlier conversation can be decided any more. */
  forget() {
    this.#cards.clear();
  }

  #arguments(args) {
    if (args === null || args === undefined) return '';
    if (typeof args !== 'object' || Array.isArray(args)) return element('pre', { dir: 'auto' }, shown(args));
    const list = element('dl');
    for (const [key, value] of Object.entries(args)) {
      list.append(element('dt', { dir: 'auto' }, key), element('dd', { dir: 'auto' }, shown(value)));
    }
    return list.childElementCount ? list : '';
  }
}
