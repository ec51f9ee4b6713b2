/** How a message's text becomes nodes: links, and words that must not be broken. */

import { element, make } from './dom.js';

const MOST = 2000; // characters of an address, and of what is rendered again with each piece
const LINK = new RegExp(`\\bhttps?:\\/\\/[^\\s<>"“”«»]{1,${MOST}}`, 'giu');
/** What ends a sentence or a bracket around an address, and is no part of it. */
const TRAILING = /[.,;:!?'’…*_~。，、；：！？）」』】》]$/u;
/** Numbers of orders, dates, telephone numbers: A-1001, 2026-11-26, 555-0100. */
const WHOLE = /(?<![\p{L}\p{N}])\+?[\p{L}\p{N}]{1,20}(?:[-‐–/][\p{L}\p{N}]{1,20}){1,6}(?![\p{L}\p{N}])/gu;
const WHOLE_AT_MOST = 24; // characters; what is longer may break, or it would not fit

/** Split a text into parts: `{text}`, `{text, href}` for http and https addresses, `{text, whole: true}`. */
export function parts(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(LINK)) {
    const address = trimmed(match[0]);
    const href = usable(address);
    if (!href) continue;
    found.push(...words(text.slice(at, match.index)), { text: address, href });
    at = match.index + address.length;
  }
  found.push(...words(text.slice(at)));
  return found.filter((part) => part.text);
}

function words(text) {
  const found = [];
  let at = 0;
  for (const { 0: word, index } of text.matchAll(WHOLE)) {
    if (word.length > WHOLE_AT_MOST || !/\p{N}/u.test(word)) continue;
    found.push({ text: text.slice(at, index) }, { text: word, whole: true });
    at = index + word.length;
  }
  found.push({ text: text.slice(at) });
  return found;
}

/** An address without the punctuation behind it; a closing bracket stays where it was opened inside. */
function trimmed(address) {
  let end = address.length;
  for (; end > 0; end -= 1) {
    const last = address[end - 1];
    const opening = { ')': '(', ']': '[', '}': '{' }[last];
    const outside = opening && count(address, last, end) > count(address, opening, end);
    if (!outside && !TRAILING.test(last)) break;
  }
  return address.slice(0, end);
}

function count(text, character, end) {
  let found = 0;
  for (let at = 0; at < end; at += 1) if (text[at] === character) found += 1;
  return found;
}

function usable(address) {
  try {
    const { protocol, host, href } = new URL(address);
    return ['http:', 'https:'].includes(protocol) && host ? href : null;
  } catch {
    return null;
  }
}

function nodes(text) {
  return parts(text).map((part) => {
    if (part.href) return element('a', { href: part.href, target: '_blank', rel: 'noopener noreferrer' }, part.text);
    return part.whole ? make('span', 'whole', part.text) : document.createTextNode(part.text);
  });
}

function lastWord(text) {
  let at = text.length;
  while (at > 0 && !/\s/.test(text[at - 1])) at -= 1;
  return at;
}

/** A text that grows piece by piece; only what follows the last white space is rendered again. */
export class GrowingText {
  #box;
  #settled = '';
  #tail = [];

  constructor(box, text) {
    this.#box = box;
    this.update(text);
  }

  update(text) {
    for (const node of this.#tail) node.remove();
    if (!text.startsWith(this.#settled)) {
      this.#settled = '';
      this.#box.replaceChildren();
    }
    const rest = text.slice(this.#settled.length);
    const cut = Math.max(lastWord(rest), rest.length - MOST);
    this.#settled += rest.slice(0, cut);
    this.#box.append(...nodes(rest.slice(0, cut)));
    this.#tail = nodes(rest.slice(cut));
    this.#box.append(...this.#tail);
  }
}
