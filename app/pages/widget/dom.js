/** Nodes made by the DOM alone: a page that enforces Trusted Types or a strict policy need allow nothing. */

const SVG = 'http://www.w3.org/2000/svg';

/** Shapes of 24 × 24 units: strings are paths. */
const ICONS = {
  agent: ['M4 5h16v11H9l-5 4z', 'M8.5 10.5h.01M12 10.5h.01M15.5 10.5h.01'],
  phone: ['M6.5 4h3l1.5 4-2 1.5a11 11 0 0 0 5.5 5.5L16 13l4 1.5v3a2 2 0 0 1-2.2 2A16 16 0 0 1 4.5 6.2 2 2 0 0 1 6.5 4z'],
  hangUp: ['M3 13.5c5-4.7 13-4.7 18 0l-2 3-4-1.7v-2.6a13 13 0 0 0-6 0v2.6L5 16.5z'],
  microphone: [['rect', { x: 9, y: 3, width: 6, height: 11, rx: 3 }], 'M5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21'],
  keypad: [['path', { d: 'M6 6h.01M12 6h.01M18 6h.01M6 12h.01M12 12h.01M18 12h.01M6 18h.01M12 18h.01M18 18h.01', 'stroke-width': 3 }]],
  devices: ['M4 7h9M17 7h3M4 17h3M11 17h9', ['circle', { cx: 15, cy: 7, r: 2 }], ['circle', { cx: 9, cy: 17, r: 2 }]],
  speaker: ['M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z', 'M15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11'],
  send: ['M12 19V5M6 11l6-6 6 6'],
  down: ['M12 5v14M6 13l6 6 6-6'],
  close: ['M6 6l12 12M18 6L6 18'],
};

/** An HTML element with attributes (true: present, false or null: absent) and children. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An element with a class and a text. */
export function make(tag, className = '', text = '') {
  return element(tag, { class: className || null }, ...(text ? [text] : []));
}

/** One of ICONS, as an SVG that is hidden from screen readers. */
export function icon(name) {
  const shapes = ICONS[name].map((shape) => {
    const [tag, attributes] = typeof shape === 'string' ? ['path', { d: shape }] : shape;
    return filled(document.createElementNS(SVG, tag), attributes, []);
  });
  return filled(document.createElementNS(SVG, 'svg'), { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, shapes);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** Name a button that shows an icon only. */
export function label(button, text) {
  button.setAttribute('aria-label', text);
  button.title = text;
}
