/** Blackbox Relay, the element <blackbox-relay-chat>. See widget.js. */

import type {
  CallProblem, CallState, Credential, RelayClient, RelayError, RelayOptions, StateChange, Tool, ToolSchema, Turn,
} from './client.js';

export type CallType = 'chat' | 'webCall' | 'onPhone';

/** Names of the widget's texts; a page gives translations of any of them. */
export type TextName =
  | 'heading' | 'intro' | 'startChat' | 'startCall' | 'again' | 'end' | 'hangUp' | 'send' | 'message'
  | 'placeholder' | 'log' | 'you' | 'agent' | 'person' | 'idle' | 'connecting' | 'queued' | 'queuedAt' | 'live' | 'resuming' | 'resumed'
  | 'ending' | 'closed' | 'ended' | 'draining' | 'operatorJoined' | 'operatorLeft' | 'typing' | 'newMessages' | 'shorten' | 'failed'
  | 'calling' | 'inCall' | 'interrupted' | 'hear' | 'microphoneLost' | 'chooseMicrophone' | 'mute'
  | 'approvalAsked' | 'approve' | 'decline' | 'approved' | 'declined' | 'unmute' | 'muted' | 'keypad' | 'key' | 'devices' | 'microphone' | 'speaker' | 'standard' | 'retryIn';

export const TEXTS: Readonly<Record<TextName, string>>;

/** The element's own events; `relay-client` comes before the conversation connects, and bubbles. */
export interface BlackboxRelayChatEventMap extends HTMLElementEventMap {
  'relay-client': CustomEvent<RelayClient>;
  state: CustomEvent<StateChange>;
  turn: CustomEvent<Turn>;
  call: CustomEvent<{ state: CallState; problem: CallProblem | null }>;
  ended: CustomEvent<RelayError>;
}

/** Chat and call with an agent. Its properties may be set before widget.js is there. */
export class BlackboxRelayChat extends HTMLElement {
  static readonly observedAttributes: string[];

  /** The gateway's address; http(s) and paths are understood. Default: /ws of this page's host. */
  url: string | null;
  agent: string | null;
  /** The phone number of an onPhone conversation. */
  endpoint: string | null;
  heading: string | null;
  intro: string | null;
  /** 'light' or 'dark'; left out: the reader's own. */
  theme: string | null;
  /** Begin as soon as the element is in the document. */
  autostart: boolean;
  /** Go on with the conversation after a reload or a change of route, in this tab. */
  keep: boolean;
  get callTypes(): string[];
  set callTypes(types: CallType | readonly CallType[]);
  get texts(): Record<TextName, string>;
  set texts(texts: Partial<Record<TextName, string>> | string | null | undefined);
  get credential(): Credential | undefined;
  set credential(credential: Credential | undefined);
  additionalData: Record<string, unknown> | undefined;
  iceServers: RTCIceServer[] | undefined;
  get tools(): Record<string, Tool | { schema?: ToolSchema; run: Tool }>;
  set tools(tools: Record<string, Tool | { schema?: ToolSchema; run: Tool }> | null | undefined);
  /** Any other option of RelayClient. */
  get options(): RelayOptions;
  set options(options: RelayOptions | null | undefined);

  /** The conversation of now. */
  readonly client: RelayClient | null;

  /** Begin a conversation; the one of now ends. Resolves when it is live or has failed; never rejects. */
  start(callType?: CallType): Promise<void>;
  /** End the conversation, or give up one that is being started; resolves when it has ended. */
  end(): Promise<RelayError> | undefined;
  /** Put a node of the page's own into the conversation. */
  show(node: HTMLElement): void;

  addEventListener<K extends keyof BlackboxRelayChatEventMap>(
    type: K,
    listener: (this: BlackboxRelayChat, event: BlackboxRelayChatEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof BlackboxRelayChatEventMap>(
    type: K,
    listener: (this: BlackboxRelayChat, event: BlackboxRelayChatEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** What JSX takes: attributes, the properties that frameworks set by name, and children that the page shows. */
export interface BlackboxRelayChatProps {
  url?: string;
  agent?: string;
  endpoint?: string;
  heading?: string;
  intro?: string;
  theme?: 'light' | 'dark';
  autostart?: boolean | '';
  keep?: boolean | '';
  'call-types'?: string;
  credential?: Credential;
  additionalData?: Record<string, unknown>;
  iceServers?: RTCIceServer[];
  tools?: Record<string, Tool | { schema?: ToolSchema; run: Tool }>;
  options?: RelayOptions;
  texts?: string | Partial<Record<TextName, string>>;
  'onrelay-client'?: (event: BlackboxRelayChatEventMap['relay-client']) => void;
  onstate?: (event: BlackboxRelayChatEventMap['state']) => void;
  onturn?: (event: BlackboxRelayChatEventMap['turn']) => void;
  oncall?: (event: BlackboxRelayChatEventMap['call']) => void;
  onended?: (event: BlackboxRelayChatEventMap['ended']) => void;
  id?: string;
  class?: string;
  className?: string;
  style?: any;
  slot?: string;
  hidden?: boolean;
  lang?: string;
  dir?: string;
  title?: string;
  key?: any;
  ref?: any;
  children?: any;
}

/**
 * For a JSX namespace of a module, one declaration in the page's code:
 *
 *     declare module 'react' {
 *       namespace JSX { interface IntrinsicElements extends BlackboxRelayElements {} }
 *     }
 */
export interface BlackboxRelayElements {
  'blackbox-relay-chat': BlackboxRelayChatProps;
}

declare global {
  interface HTMLElementTagNameMap {
    'blackbox-relay-chat': BlackboxRelayChat;
  }
  namespace JSX {
    interface IntrinsicElements extends BlackboxRelayElements {}
  }
}
