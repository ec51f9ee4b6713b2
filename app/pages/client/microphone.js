/** Opens the microphone. */

import { CallProblem } from './errors.js';

export async function openMicrophone(wanted) {
  if (wanted === false || (globalThis.MediaStream && wanted instanceof MediaStream)) return wanted || null;
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
    const audio = typeof wanted === 'string' ? { deviceId: { exact: wanted } } : wanted ?? true;
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (cause) {
    throw new CallProblem('no-microphone', { cause, ...MICROPHONE[cause.name] });
  }
}

const MICROPHONE = {
  NotAllowedError: { message: 'The microphone is not allowed on this page.', advice: 'Allow it in the address bar, and call again.' },
  NotReadableError: { message: 'The microphone is in use.', advice: 'Close what uses it, or choose another one.' },
  SecurityError: { message: 'This page may not use the microphone.', advice: 'Serve it over HTTPS.' },
};
