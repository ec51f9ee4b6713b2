/** The widget as a guest: a page's focus stays where it is, and the widget's keys do not reach the page's shortcuts. */

const FIELDS = 'textarea, select';
const CLIPBOARD = ['copy', 'cut', 'paste'];
const KEYBOARD = ['keydown', 'keypress', 'keyup'];
/** Keys that a page may want whatever has the focus: closing a dialog, leaving a group of fields. */
const SHARED = ['Escape', 'Tab'];
/** Keys that press a button or scroll the conversation. */
const PRESSING = ['Enter', ' '];
const SCROLLING = ['ArrowUp', 'ArrowDown', 'PageUp', 'PageDown', 'Home', 'End', ' '];

/** Keep keys and clipboard of the widget's fields from listeners of the page: its shortcuts look at the target's tag. */
export function keepKeys(panel) {
  for (const type of KEYBOARD) panel.addEventListener(type, (event) => isOurs(event) && event.stopPropagation());
  for (const type of CLIPBOARD) panel.addEventListener(type, (event) => event.target.matches(FIELDS) && event.stopPropagation());
}

function isOurs({ key, target }) {
  if (SHARED.includes(key)) return false;
  if (target.matches(FIELDS)) return true;
  return target.matches('button, a, .panel') ? PRESSING.includes(key) : target.matches('.log') && SCROLLING.includes(key);
}

/** Is the focus in this element, or nowhere? A page's field that has it keeps it. */
export function focusIsWithin(host) {
  const root = host.getRootNode();
  const { activeElement } = root;
  if (activeElement) return activeElement === host || activeElement === document.body;
  return document.activeElement === document.body || document.activeElement === null;
}
