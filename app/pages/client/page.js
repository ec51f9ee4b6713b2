/** What happens to the page: hidden, left, offline, back. */

/** `on` has offline(), online(), back(), hidden() and left(forGood). */
export function listenToPage(signal, on) {
  const page = globalThis.window;
  const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal });
  listen(page, 'offline', on.offline);
  listen(page, 'online', on.online);
  listen(page, 'focus', on.back);
  listen(page, 'pageshow', on.back);
  listen(globalThis.document, 'visibilitychange', () => (document.hidden ? on.hidden() : on.back()));
  // A page that is kept for "back" may resume.
  listen(page, 'pagehide', (event) => on.left(!event.persisted));
}
