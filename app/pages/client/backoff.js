/** Delays between connection attempts. */

const RESUMING_AT_MOST = 3;
const BEFORE_THE_WINDOW_ENDS = 1;

/** Seconds before attempt `n`: 1 doubling to 30, half of it jitter, never before `retryAfter`. */
export function backoff(n, { first = 1, most = 30, retryAfter = 0, random = Math.random } = {}) {
  const ceiling = Math.min(most, first * 2 ** n);
  return Math.max(ceiling / 2, retryAfter) + (random() * Math.max(ceiling, retryAfter / 2)) / 2;
}

/** The same while a resume is possible for `left` seconds: never long, and once more before they end. */
export function resumeDelay(n, left, options) {
  const most = Math.min(options.most ?? RESUMING_AT_MOST, RESUMING_AT_MOST);
  const delay = backoff(n, { ...options, most });
  const last = left - BEFORE_THE_WINDOW_ENDS;
  return last > 0 ? Math.min(delay, last) : delay;
}
