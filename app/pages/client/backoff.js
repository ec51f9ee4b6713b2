/** Delays between connection attempts. */

/** Seconds before attempt `n`: 1 doubling to 30, half of it jitter, never before `retryAfter`. */
export function backoff(n, { first = 1, most = 30, retryAfter = 0, random = Math.random } = {}) {
  const ceiling = Math.min(most, first * 2 ** n);
  return Math.max(ceiling / 2, retryAfter) + (random() * Math.max(ceiling, retryAfter / 2)) / 2;
}
