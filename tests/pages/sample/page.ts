/** A page's whole use of the client, for the compiler: nothing of it is run. */
import {
  backoff,
  CallProblem,
  CLOSE_CODES,
  RelayClient,
  RelayError,
  ToolError,
  type Frame,
  type State,
  type Turn,
} from '../../../app/pages/client.js';

async function fetchTicket(): Promise<string> {
  const response = await fetch('/ticket', { method: 'POST' });
  if (!response.ok) throw new Error('no ticket');
  return ((await response.json()) as { ticket: string }).ticket;
}

export async function talk(log: (line: string) => void): Promise<void> {
  const chat = await RelayClient.connect({
    url: 'wss://relay.example.com/ws',
    credential: fetchTicket,
    callType: 'chat',
    agent: 'support',
    additionalData: { locale: 'en' },
    renew: true,
    keep: 'support',
    heartbeat: 10,
    tools: {
      show_order: {
        schema: { type: 'object', properties: { order_number: { type: 'string' } }, required: ['order_number'] },
        run: async ({ order_number }: { order_number: string }, { signal }) => {
          if (signal.aborted) throw new ToolError('gone', 'The page was closed.');
          return { shown: order_number };
        },
      },
    },
  });
  const remove: () => void = chat.tool<{ url: string }>('open_page', null, ({ url }) => void location.assign(url));
  remove();
  const off = chat.on('state', ({ state, reason, delay }) => {
    const known: State = state;
    log(`${known} ${reason?.name ?? ''} ${reason?.retry ?? ''} ${delay.toFixed(1)}`);
  });
  chat.on('text', ({ text, turn }) => log(`${text} (${turn.pieces.length})`));
  chat.addEventListener('frame', (event) => {
    const frame: Frame = event.detail;
    log(frame.type);
  });
  chat.send('Hello');
  chat.sendFrame({ type: 'incomingChatMessage', content: 'plain' });
  for await (const turn of chat) {
    const whole: Turn = turn;
    log(`${whole.source}: ${whole.text}`);
  }
  off();
  const end: RelayError = await chat.closed;
  log(`${end.code} ${CLOSE_CODES[end.code]?.message ?? end.message} ${end.retryAfter ?? 0}`);
}

export async function phone(): Promise<void> {
  try {
    const chat = await RelayClient.call({ agent: 'voice', iceServers: [{ urls: 'stun:stun.example.com' }], iceTransportPolicy: 'relay' });
    chat.on('sound-blocked', ({ play }) => void play());
    chat.on('microphone-changed', ({ why, label }) => console.log(why, label, chat.muted));
    chat.on('microphone-lost', ({ advice }) => console.log(advice));
    const { microphones, speakers } = await RelayClient.devices();
    if (microphones[0]) await chat.setMicrophone(microphones[0].deviceId);
    if (speakers[0]) await chat.setSpeaker(speakers[0].deviceId);
    chat.mute();
    chat.unmute();
    chat.dtmf('12#', { duration: 100 });
    const { microphone, speaker } = chat.levels();
    console.log(chat.call?.state, microphone + speaker, backoff(3), chat.waiting, chat.result);
    await chat.hangUp();
  } catch (problem) {
    if (problem instanceof CallProblem) console.log(problem.kind, problem.advice);
    else if (problem instanceof RelayError && problem.retry === 'reconnect') console.log(problem.message);
    else throw problem;
  }
}

// @ts-expect-error a message is a string: an object would make the vendor close the socket
export const wrong = (chat: RelayClient): void => chat.send({ text: 'no' });
