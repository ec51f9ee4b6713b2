/** Close codes and the errors of the browser client. */

const row = (name, message, retry = 'no') => Object.freeze({ name, message, retry });

/** Every close code, its name, what a page may say, and whether to try again. */
export const CLOSE_CODES = Object.freeze({
  1000: row('ended', 'The conversation has ended.'),
  1001: row('draining', 'This server is being replaced. Please reconnect.', 'reconnect'),
  1006: row('connection_lost', 'The connection was lost.', 'resume'),
  1007: row('not_utf8', 'A message was not valid UTF-8.'),
  1009: row('frame_too_large', 'A message was too large.'),
  1011: row('internal_error', 'Something went wrong on our side.', 'reconnect'),
  4400: row('bad_frames', 'Too many messages could not be read.'),
  4401: row('unauthenticated', 'The credential is missing, invalid, expired or used.'),
  4403: row('forbidden', 'This is not allowed here.'),
  4404: row('no_such_agent', 'There is no such agent.'),
  4408: row('idle', 'Nothing was said for too long.', 'reconnect'),
  4409: row('resumed_elsewhere', 'The conversation goes on in another window.'),
  4410: row('cannot_resume', 'The conversation cannot be resumed. Please start anew.', 'reconnect'),
  4429: row('too_many', 'Too many messages or conversations.', 'reconnect'),
  4440: row('max_duration', 'The conversation has reached its longest duration.'),
  4502: row('upstream_failed', 'The agent could not be reached.', 'reconnect'),
  4503: row('overloaded', 'The service is busy. Please try again soon.', 'reconnect'),
  4504: row('upstream_timeout', 'The agent did not answer in time.', 'reconnect'),
  4508: row('too_slow', 'Messages are read too slowly.', 'resume'),
});

/** Why something was refused or ended; `name` is the close code's name, `message` may be shown. */
export class RelayError extends Error {
  constructor(code, { name, message, retry, retryAfter, sessionId, cause } = {}) {
    const known = CLOSE_CODES[code] ?? CLOSE_CODES[1006];
    super(message || known.message, { cause });
    this.code = code;
    this.name = name ?? known.name;
    this.retry = retry ?? known.retry;
    this.retryAfter = retryAfter ?? null;
    this.sessionId = sessionId ?? null;
  }
}

const PROBLEMS = {
  'not-a-call': ['This conversation is a chat.', "Connect with callType 'webCall'."],
  'no-microphone': ['There is no microphone.', 'Plug one in, or choose another one.'],
  'no-offer': ['The agent offered no call.', 'Check that it takes calls from browsers.'],
  'bad-offer': ["The agent's offer cannot be used.", 'Tell whoever runs the agent.'],
  'no-candidates': ['This browser has no network address for calls.', 'Check what blocks WebRTC: network, extension or policy.'],
  'host-only': ['The agent cannot be reached from this network.', 'Pass STUN or TURN servers as iceServers; if they are there, a firewall blocks UDP.'],
  'relay-blocked': ['The TURN relay cannot be reached.', 'Check its address and credential; offer it by TLS on port 443 too.'],
  'no-answer': ['The agent does not answer on the network.', 'Try again; if it stays so, a firewall before the agent is closed.'],
  'dtls-failed': ['The audio could not be encrypted.', "Check that nothing changes the agent's offer on its way."],
  'connection-lost': ["The call's audio was lost.", 'Check the network, and call again.'],
  'bad-ice-servers': ['The STUN and TURN servers of this page cannot be used.', 'Correct iceServers or rtcConfiguration.'],
  'microphone-lost': ['The microphone was disconnected.', 'Plug it in again, or choose another one.'],
  cancelled: ['The call was ended before it connected.', 'Call again.'],
  'no-dtmf': ['This call takes no key tones.', 'The agent must offer telephone-event.'],
};

/** The page asked for the end before the conversation began. */
export const cancelled = (cause) => new RelayError(1000, { message: 'The conversation was cancelled before it began.', cause });

/** An address, or a browser without WebSocket, that no retry can help. */
export const badAddress = (message, cause) => new RelayError(0, { name: 'bad_address', retry: 'no', message, cause });

/** Why a call did not connect: `kind` for code, `message` for people, `advice` on what to do. */
export class CallProblem extends Error {
  constructor(kind, { message, advice, cause } = {}) {
    super(message ?? PROBLEMS[kind][0], { cause });
    this.name = 'CallProblem';
    this.kind = kind;
    this.advice = advice ?? PROBLEMS[kind][1];
  }
}

/** Thrown by a browser tool: a sentence that the agent can speak. */
export class ToolError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'ToolError';
    this.code = code;
  }
}
