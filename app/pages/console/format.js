/** Texts for people. */

/** A noun after a count. */
export const counted = (count, noun) => (count === 1 ? noun : `${noun}s`);

export const moment = (value) => (typeof value === 'number' ? value * 1000 : Date.parse(value));

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export const since = (value) => span((Date.now() - moment(value)) / 1000);

export function size(count, per = '/s') {
  if (count < 1024) return [count.toFixed(0), `B${per}`];
  if (count < 1024 ** 2) return [(count / 1024).toFixed(1), `KiB${per}`];
  return [(count / 1024 ** 2).toFixed(1), `MiB${per}`];
}

export function clock(at) {
  const date = new Date(moment(at));
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString('en-GB', { hour12: false });
}

export function dated(at) {
  const date = new Date(moment(at));
  return Number.isNaN(date.getTime()) ? '' : `${date.toLocaleDateString('en-CA')} ${clock(at)}`;
}
