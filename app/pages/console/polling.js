/** Tasks that are done again and again while somebody is signed in and looks at the page. */

import { access } from './api.js';

let timers = new Map();
let onFault = () => {};

export const watchFaults = (heard) => (onFault = heard);

/** Do a task now and again `every` ms after it has ended; a hidden tab asks nothing. */
export function repeat(name, task, every) {
  const visit = access.visit;
  const next = async () => {
    let fault = null;
    try {
      if (!document.hidden) await task();
    } catch (error) {
      fault = error;
    }
    if (visit !== access.visit || !timers.has(name)) return;
    onFault(name, fault);
    if (visit === access.visit && timers.has(name)) timers.set(name, setTimeout(next, every()));
  };
  stop(name);
  timers.set(name, setTimeout(next, 0));
}

export function stop(name) {
  clearTimeout(timers.get(name));
  timers.delete(name);
}

export function stopAll() {
  timers.forEach((timer) => clearTimeout(timer));
  timers = new Map();
}
