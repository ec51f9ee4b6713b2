/** Every text of the widget; a page gives translations as JSON in the attribute `texts`. */
export const TEXTS = Object.freeze({
  heading: 'Chat with us',
  intro: 'Ask a question, or talk to us.',
  startChat: 'Start a chat',
  startCall: 'Start a call',
  again: 'Start again',
  end: 'End the conversation',
  hangUp: 'Hang up',
  send: 'Send',
  message: 'Your message',
  placeholder: 'Write a message…',
  log: 'Conversation',
  you: 'You',
  agent: 'Agent',
  person: 'Person',
  idle: 'Not connected',
  connecting: 'Connecting…',
  queued: 'All agents are busy. Please wait…',
  queuedAt: 'All agents are busy. You are number {position} of {of}.',
  live: 'Online',
  resuming: 'Connection lost. Reconnecting…',
  resumed: 'Connected again. Nothing was lost.',
  ending: 'Ending…',
  closed: 'Ended',
  ended: 'The conversation has ended.',
  draining: 'This conversation will be ended for maintenance soon.',
  operatorJoined: '{operator} has joined. You are talking to a person now.',
  operatorLeft: '{operator} has left. You are talking to our assistant again.',
  approvalAsked: 'The agent wants to do this for you: {tool}. Do you agree?',
  approve: 'Approve',
  decline: 'Decline',
  approved: 'Approved',
  declined: 'Not approved',
  typing: 'Agent is writing',
  newMessages: 'New messages',
  shorten: 'Shorten it, and send it again.',
  failed: 'The conversation could not be started.',
  calling: 'Calling…',
  inCall: 'In a call',
  interrupted: 'The audio is interrupted…',
  hear: 'Tap to hear the agent',
  microphoneLost: 'The microphone was lost.',
  chooseMicrophone: 'Plug one in, or choose another one.',
  mute: 'Mute the microphone',
  unmute: 'Unmute the microphone',
  muted: 'Muted',
  keypad: 'Keypad',
  key: 'Key',
  devices: 'Microphone and speaker',
  microphone: 'Microphone',
  speaker: 'Speaker',
  standard: 'Standard',
  retryIn: 'You can try again in {seconds} s.',
});

/** The texts with a page's translations: JSON, of which members that are strings are taken. */
export function translated(json) {
  if (!json) return TEXTS;
  try {
    const given = Object.entries(JSON.parse(json) ?? {}).filter(([, text]) => typeof text === 'string');
    return { ...TEXTS, ...Object.fromEntries(given) };
  } catch {
    console.warn('blackbox-relay-chat: the attribute `texts` is not JSON');
    return TEXTS;
  }
}
