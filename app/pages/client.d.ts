/** Blackbox Relay, the browser client. See client.js. */

export const PROTOCOL: 'blackbox-relay.v1';

/** What to do after a close: nothing, begin a fresh conversation, or resume this one. */
export type Retry = 'no' | 'reconnect' | 'resume';

/** Names of closes; the last four are the client's own. `bad_address`: no retry can help. */
export type CloseName =
  | 'ended' | 'draining' | 'connection_lost' | 'not_utf8' | 'frame_too_large' | 'internal_error'
  | 'bad_frames' | 'unauthenticated' | 'forbidden' | 'no_such_agent' | 'idle' | 'resumed_elsewhere'
  | 'cannot_resume' | 'too_many' | 'max_duration' | 'upstream_failed' | 'overloaded'
  | 'upstream_timeout' | 'too_slow' | 'outbox_full' | 'agent_error' | 'bad_address';

/** Every close code, its name, a sentence that a page may show, and whether to try again. */
export const CLOSE_CODES: Readonly<
  Record<number, Readonly<{ name: CloseName; message: string; retry: Retry }>>
>;

/** Why something was refused or ended. `message` may be shown to people. */
export class RelayError extends Error {
  constructor(
    code: number,
    more?: {
      name?: string;
      message?: string;
      retry?: Retry;
      retryAfter?: number;
      sessionId?: string;
      cause?: unknown;
    },
  );
  /** The WebSocket close code; 0 for errors that closed nothing. */
  readonly code: number;
  /** One of CloseName. */
  readonly name: string;
  readonly retry: Retry;
  /** Seconds to wait before the next attempt, when the gateway said so. */
  readonly retryAfter: number | null;
  readonly sessionId: string | null;
}

export type CallProblemKind =
  | 'not-a-call' | 'no-microphone' | 'no-offer' | 'bad-offer' | 'no-candidates' | 'host-only'
  | 'relay-blocked' | 'no-answer' | 'dtls-failed' | 'connection-lost' | 'no-dtmf'
  | 'bad-ice-servers' | 'microphone-lost' | 'cancelled';

/** Why a call did not connect (or was lost), and what to do about it. Holds no network address. */
export class CallProblem extends Error {
  constructor(
    kind: CallProblemKind,
    more?: { message?: string; advice?: string; cause?: unknown },
  );
  readonly name: 'CallProblem';
  readonly kind: CallProblemKind;
  readonly advice: string;
}

/** Thrown by a browser tool: the agent gets the code, and a sentence that it can speak. */
export class ToolError extends Error {
  constructor(code: string, message: string);
  readonly code: string;
}

/** The vendor's envelope. Unknown types and fields pass through both ways. */
export interface Frame {
  type: string;
  timestamp?: string;
  channelId?: string | null;
  name?: string;
  content?: unknown;
  data?: unknown;
  request?: unknown;
  result?: unknown;
  [field: string]: unknown;
}

export interface BackoffOptions {
  /** Seconds before the first attempt, at most. Default 1. */
  first?: number;
  /** Seconds between attempts, at most. Default 30. */
  most?: number;
  /** Seconds that the gateway asked for. */
  retryAfter?: number;
  random?: () => number;
}
/** Seconds before attempt `n` (from 0): doubling, the upper half jittered, never before `retryAfter`. */
export function backoff(n: number, options?: BackoffOptions): number;

/** The part of JSON Schema that a tool's arguments are checked against. */
export interface ToolSchema {
  type?: 'object';
  properties?: Record<string, { type?: string | string[]; enum?: unknown[]; [rule: string]: unknown }>;
  required?: string[];
  [rule: string]: unknown;
}

export interface ToolContext {
  id: string;
  name: string;
  /** Aborts when the tool takes too long or the conversation ends. */
  signal: AbortSignal;
  chat: RelayClient;
}

/** A browser tool: what it returns (any JSON) is the result that the agent gets. */
export type Tool<Args = any> = (args: Args, context: ToolContext) => unknown | Promise<unknown>;

/** A ticket or JWT. A callback is asked for each fresh connection; for a resume it may give none. */
export type Credential =
  | string
  | null
  | ((why: { resume: boolean }) => string | null | undefined | Promise<string | null | undefined>);

export interface CallOptions {
  /**
   * A device's id, constraints, a stream of one's own, or false to listen only. A device that is gone gives way to
   * the default one (event `microphone-changed`).
   */
  microphone?: string | boolean | MediaTrackConstraints | MediaStream;
  /** A speaker's device id. */
  speaker?: string;
  iceServers?: RTCIceServer[] | null;
  /** 'relay' hides the page's addresses from the agent. */
  iceTransportPolicy?: RTCIceTransportPolicy;
  /** Whatever else RTCPeerConnection takes. */
  rtcConfiguration?: RTCConfiguration;
  /** Seconds for candidates to be gathered (3), the agent's offer to come (20), audio to connect (15). */
  gatherTimeout?: number;
  inviteTimeout?: number;
  callTimeout?: number;
}

export interface RelayOptions extends CallOptions {
  /**
   * The gateway, e.g. 'wss://relay.example.com/ws'; http(s) and paths are understood, relative to the document's base.
   * Default: /ws of this page's host.
   */
  url?: string | URL;
  /** Left out where the gateway's authentication is open. */
  credential?: Credential;
  callType?: 'chat' | 'webCall' | 'onPhone';
  agent?: string;
  /** Only the keys that the agent's profile lets browsers set are taken. */
  additionalData?: Record<string, unknown>;
  /** The phone number of an onPhone conversation. */
  endpoint?: string;
  tools?: Record<string, Tool | { schema?: ToolSchema; run: Tool }>;
  /** Begin a fresh conversation by itself when one is lost that cannot be resumed. Default false. */
  renew?: boolean;
  /** Attempts to connect at first, before the promise rejects. Default 5. */
  attempts?: number;
  /** Seconds for one attempt. Default 10. */
  connectTimeout?: number;
  /** Seconds of silence after which the connection is asked whether it lives; 0 turns that off. Default 15. */
  heartbeat?: number;
  /**
   * Keep a chat over reloads, in sessionStorage: true, or a name where a page has several. Then leaving the page does
   * not end it, and a client with the same options resumes it within the gateway's window (event `restored`), or joins
   * it while the gateway keeps it open (RELAY_CHAT_KEEP, `session.keep`).
   */
  keep?: boolean | string;
  /**
   * With `keep`, where the gateway keeps chats open (RELAY_CHAT_KEEP): other tabs of this browser whose clients have
   * the same options join the chat. Its id is in localStorage. Default false.
   */
  shared?: boolean;
  /**
   * Join this chat, a `sessionId` of the same subject, from another tab or device (event `history`). Leaving the page
   * does not end it; `hangUp()` ends it for all pages.
   */
  join?: string;
  /** While a resume is possible no wait is longer than 3 s. */
  backoff?: Pick<BackoffOptions, 'first' | 'most' | 'random'>;
  /** Seconds of silence that end an agent's turn. Default 1. */
  turnGap?: number;
  /** Seconds for a browser tool. Default 15. */
  toolTimeout?: number;
  /** Bytes of one frame. Default 64 KiB, as the gateway's RELAY_MAX_FRAME. */
  maxFrame?: number;
  /** Bytes that may wait to be sent, or be kept to be sent again. Default 1 MiB. */
  maxWaiting?: number;
  /** What is sent more quickly than this waits, so that the gateway's rate limit is never met. 15 and 40. */
  framesPerSecond?: number;
  frameBurst?: number;
  /** Aborting it hangs up; before the conversation is live, the promise rejects and nothing stays open. */
  signal?: AbortSignal;
  /** Another WebSocket class, for tests and for places without one. */
  WebSocket?: unknown;
}

export interface Session {
  sessionId: string;
  agent: string;
  callType: string;
  resume: { token: string; window: number } | null;
  /** Seconds for which the gateway keeps the chat open with no page there; absent where it does not. */
  keep?: number;
  /** There while a person speaks instead of the agent. */
  takeover?: Takeover;
  /** There for one that waits for an agent to be free. */
  queued?: boolean;
}

/** The person who speaks instead of the agent. */
export interface Takeover {
  operator: string;
}

/** A tool call that waits for the user. */
export interface Approval {
  id: string;
  tool: string;
  /** Exactly what the tool will get. */
  args: any;
  /** When no answer becomes a no, ISO 8601. */
  deadline: string;
}

/** Where a conversation waits; both are null until the gateway has said so. */
export interface Queue {
  /** From 1. */
  position: number | null;
  of: number | null;
}

export interface Turn {
  id: number;
  source: 'assistant' | 'user' | (string & {});
  /** Who spoke: a person (`operator`) or the backend may speak as the agent. */
  speaker: 'agent' | 'backend' | 'operator' | 'user' | (string & {});
  text: string;
  /** The final texts; a partial one is in `text` alone. */
  pieces: string[];
  /** Whether all of `text` is final; always in `turns` and in the event `turn`. */
  final: boolean;
  /** Milliseconds since the epoch. */
  startedAt: number;
  endedAt: number | null;
}

/** `queued`: all agents are busy, and the conversation waits for one. `ending`: a hang-up was asked for, and the gateway has not confirmed it yet. */
export type State = 'connecting' | 'queued' | 'live' | 'resuming' | 'ending' | 'ended';

export interface StateChange {
  state: State;
  /** Why it resumes or has ended; `reason.retry` says whether trying again makes sense. */
  reason: RelayError | null;
  /** Which attempt is next (from 1), and in how many seconds. */
  attempt: number;
  delay: number;
}

export interface ToolActivity {
  id: string;
  name: string;
  args: unknown;
  phase: 'called' | 'answered' | 'failed';
  result?: unknown;
  ms?: number;
}

export type CallState = 'starting' | 'connecting' | 'connected' | 'interrupted' | 'ended';

export interface Call {
  readonly state: CallState;
  readonly muted: boolean;
  /** The agent's audio. */
  readonly stream: MediaStream | null;
  readonly audio: HTMLAudioElement;
  /** For statistics. */
  readonly peer: RTCPeerConnection | null;
}

export interface RelayEvents {
  state: StateChange;
  /** The conversation has ended; code 1000 when all was well. */
  ended: RelayError;
  session: Session;
  /** Where the conversation waits, at first and whenever that changes. */
  queued: Queue;
  /** After a resume: frames that came again, frames sent again, how long the connection was gone. */
  resumed: { replayed: number; resent: number; seconds: number };
  /**
   * A chat was joined; what was said in it. A page that was in it before, and could not resume, gets the event `turn`
   * for each turn that it missed.
   */
  history: { turns: readonly Turn[] };
  /** A conversation that an earlier page kept goes on; what was said in it. */
  restored: { turns: readonly Turn[] };
  /**
   * The conversation goes on otherwise than the page asked: `client_data_ignored` names in `keys` what
   * of `additionalData` the agent's profile does not allow.
   */
  warning: { code: 'client_data_ignored' | (string & {}); message: string; keys?: string[] };
  /** A sentence from the backend, for the page alone. */
  notice: { content: string };
  /** A person speaks instead of the agent from now on. */
  takeover: Takeover;
  /** The agent speaks again. */
  handback: Takeover;
  /** A tool runs only if the user lets it: show `tool` and `args`, and call `approve(id, true)` or `approve(id, false)`. */
  approval: Approval;
  /** It is decided, on this page or another, or was not in time: then `approved` is false. */
  'approval-settled': { id: string; approved: boolean };
  /** The server will be replaced; the conversation may go on until the deadline. */
  draining: { deadline: string | number };
  /** A whole turn. */
  turn: Turn;
  /** A piece of a turn; `turn.text` is what was said so far. */
  text: { source: string; speaker: string; text: string; turn: Turn; frame: Frame };
  /**
   * Take this turn off the page: it was shown by partial texts alone, and no final text of it came, or it was not
   * whole when the chat was joined anew, and what was said comes as other turns.
   */
  withdrawn: Turn;
  /** The vendor's event frames (connection, opened, closed and others), and the backend's own, named `relay.*`. */
  event: { name: string; data: any };
  result: unknown;
  tool: ToolActivity;
  /** An error frame that may or may not be followed by the end. */
  error: RelayError;
  invite: Frame;
  call: { state: CallState; problem: CallProblem | null };
  /** Another microphone is used than the one that was chosen: it was not there, or it was unplugged. */
  'microphone-changed': { why: 'not-found' | 'unplugged'; label: string };
  /** It was unplugged, and there is no other one: the agent hears nothing. */
  'microphone-lost': CallProblem;
  /** The browser plays no sound before a gesture: the next one starts it, or `play()` called in a click. */
  'sound-blocked': { play: () => Promise<void> };
  /** Every frame that came, and every frame that went, as it is. */
  frame: Frame;
  sent: Frame;
}

/** A conversation with an agent, through the gateway. */
export class RelayClient extends EventTarget implements AsyncIterable<Turn> {
  constructor(options?: RelayOptions);
  /** Resolves when the conversation is live, rejects with a RelayError. */
  static connect(options?: RelayOptions): Promise<RelayClient>;
  /** Ask for the microphone, connect with callType 'webCall' and take the agent's call. */
  static call(options?: RelayOptions): Promise<RelayClient>;
  /** Ask for the microphone, before anything else; rejects with a CallProblem. */
  static microphone(wanted?: CallOptions['microphone']): Promise<MediaStream | null>;
  /** The microphones and speakers; they have labels once the microphone was allowed. */
  static devices(): Promise<{ microphones: MediaDeviceInfo[]; speakers: MediaDeviceInfo[] }>;

  readonly state: State;
  /** Why it resumes or has ended. */
  readonly reason: RelayError | null;
  readonly session: Session | null;
  /** While a person speaks instead of the agent; else null. */
  readonly takeover: Takeover | null;
  /** Tool calls that the user has not answered yet. */
  readonly approvals: readonly Approval[];
  /** While all agents are busy; else null. */
  readonly queue: Queue | null;
  /** The agent's result, once it has come. */
  readonly result: unknown;
  /** The latest 1000 whole turns. */
  readonly turns: readonly Turn[];
  readonly call: Call | null;
  /** Bytes that wait to be written, here and in the socket. */
  readonly waiting: number;
  /** Resolves with what ended the conversation; never rejects. */
  readonly closed: Promise<RelayError>;

  /** Open the connection, once; for those who add listeners before it is open. */
  open(): Promise<RelayClient>;
  /** Listen; call what it returns to stop. */
  on<K extends keyof RelayEvents>(type: K, listener: (detail: RelayEvents[K]) => void): () => void;
  addEventListener<K extends keyof RelayEvents>(
    type: K,
    listener: (event: CustomEvent<RelayEvents[K]>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  /** Whole turns from the conversation's start; throws the RelayError of an end that was not normal. */
  [Symbol.asyncIterator](): AsyncIterator<Turn>;

  /** Say something. While the conversation resumes it waits; throws a RelayError when too much waits. */
  send(text: string): void;
  /** Send any frame of the vendor's; a timestamp is added where there is none. */
  sendFrame(frame: Frame): void;
  /** Serve a browser tool; call what it returns to take it away. */
  tool<Args = any>(name: string, run: Tool<Args>): () => void;
  tool<Args = any>(name: string, schema: ToolSchema | null, run: Tool<Args>): () => void;
  /** Let a tool of the event `approval` run, or not (`approve` false). Returns false where that is decided already. */
  approve(id: string, approve?: boolean): boolean;

  /**
   * Take the agent's call; resolves when audio is connected, rejects with a CallProblem. A call that fails, or is
   * lost later, ends the conversation: nobody would hear the agent.
   */
  startCall(options?: CallOptions): Promise<Call>;
  /** Whether the microphone is muted, or will be once there is a call. */
  readonly muted: boolean;
  /** Also before the call: then nothing is heard from its first moment on. */
  mute(): void;
  unmute(): void;
  /** Press keys: 0-9, *, #, A-D, and a comma for a pause of two seconds; they wait for earlier ones. Milliseconds. */
  dtmf(keys: string, options?: { duration?: number; gap?: number }): void;
  setMicrophone(microphone: CallOptions['microphone']): Promise<void>;
  /** A no-op in browsers that cannot choose. */
  setSpeaker(deviceId: string): Promise<void>;
  /** How loud it is, from 0 to 1; ask once per animation frame. */
  levels(): { microphone: number; speaker: number };

  /** End the conversation and its call; resolves when it has ended. */
  hangUp(): Promise<RelayError>;
}
