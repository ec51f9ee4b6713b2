/** The element's properties: attributes that are mirrored, and what no attribute can hold. */

import { translated } from './texts.js';

const STRINGS = ['url', 'agent', 'endpoint', 'heading', 'intro', 'theme'];
const BOOLEANS = ['autostart', 'keep'];

/** An HTMLElement; on a server, where there is none, a class that nobody makes. */
export class ElementWithProperties extends (globalThis.HTMLElement ?? class {}) {
  #credential;
  #additionalData;
  #iceServers;
  #tools = {};
  #options = {};

  /** Hand what a page set before the class was defined, and which hides its accessors, to these. */
  takeOver() {
    for (const name of Object.keys(this)) {
      if (!Object.getOwnPropertyDescriptor(ElementWithProperties.prototype, name)?.set) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  /** What RelayClient is told of these. */
  clientOptions() {
    return {
      ...(this.hasAttribute('url') && { url: absolute(this.url) }),
      agent: this.agent ?? undefined,
      endpoint: this.endpoint ?? undefined,
      credential: this.credential,
      additionalData: this.additionalData,
      iceServers: this.iceServers ?? [],
      tools: this.tools,
    };
  }

  /** A ticket, a JWT, or a callback that gives one. */
  get credential() {
    return this.#credential ?? this.getAttribute('credential') ?? undefined;
  }
  set credential(value) {
    this.#credential = value;
  }
  get additionalData() {
    return this.#additionalData;
  }
  set additionalData(value) {
    this.#additionalData = value;
  }
  get iceServers() {
    return this.#iceServers;
  }
  set iceServers(value) {
    this.#iceServers = value;
  }
  get tools() {
    return this.#tools;
  }
  set tools(value) {
    this.#tools = value ?? {};
  }
  /** Any other option of RelayClient. */
  get options() {
    return this.#options;
  }
  set options(value) {
    this.#options = value ?? {};
  }
  /** Translations: an object, or JSON. */
  get texts() {
    return { ...translated(this.getAttribute('texts')) };
  }
  set texts(value) {
    if (value === null || value === undefined) this.removeAttribute('texts');
    else this.setAttribute('texts', typeof value === 'string' ? value : JSON.stringify(value));
  }
  get callTypes() {
    return (this.getAttribute('call-types') ?? 'chat').split(/[\s,]+/).filter(Boolean);
  }
  set callTypes(value) {
    this.setAttribute('call-types', [].concat(value).join(' '));
  }
}

function mirror(name, get, set) {
  Object.defineProperty(ElementWithProperties.prototype, name, { configurable: true, enumerable: true, get, set });
}

for (const name of STRINGS) {
  mirror(
    name,
    function get() {
      return this.getAttribute(name);
    },
    function set(value) {
      if (value === null || value === undefined) this.removeAttribute(name);
      else this.setAttribute(name, value);
    },
  );
}

for (const name of BOOLEANS) {
  mirror(
    name,
    function get() {
      return this.hasAttribute(name);
    },
    function set(value) {
      this.toggleAttribute(name, Boolean(value));
    },
  );
}

/** An address of the page's as the client needs it; what cannot be resolved is left for the client to refuse. */
function absolute(url) {
  for (const base of [undefined, document.baseURI]) {
    try {
      return new URL(url, base).href;
    } catch {
      // Relative, or a base that carries none (blob:, about:).
    }
  }
  return url;
}
