/** A page's whole use of the widget, for the compiler: nothing of it is run. */
import { BlackboxRelayChat, TEXTS, type BlackboxRelayChatProps } from '../../../app/pages/widget.js';

export function place(log: (line: string) => void): void {
  const chat = document.createElement('blackbox-relay-chat');
  const same: BlackboxRelayChat = chat;
  chat.agent = 'support';
  chat.callTypes = ['chat', 'webCall'];
  chat.credential = async () => 'ticket';
  chat.tools = { show_order: ({ order_number }: { order_number: string }) => ({ shown: order_number }) };
  chat.options = { renew: true, turnGap: 2 };
  chat.texts = { send: TEXTS.send };
  chat.keep = true;
  chat.addEventListener('relay-client', ({ detail }) => void detail.on('session', ({ sessionId }) => log(sessionId)));
  chat.addEventListener('state', ({ detail }) => log(`${detail.state} ${detail.reason?.name ?? ''}`));
  chat.addEventListener('turn', ({ detail }) => log(`${detail.source}: ${detail.text}`));
  chat.addEventListener('call', ({ detail }) => log(`${detail.state} ${detail.problem?.advice ?? ''}`));
  chat.addEventListener('ended', ({ detail }) => log(`${detail.code} ${detail.retry}`));
  chat.addEventListener('keydown', ({ key }) => log(key));
  document.body.append(same);
  void chat.start('webCall').then(() => chat.end());
  document.querySelector('blackbox-relay-chat')?.show(document.createElement('article'));
}

export const page = (
  <blackbox-relay-chat agent="support" url="wss://relay.example.com/ws" autostart keep
    tools={{ now: () => Date.now() }} onended={({ detail }) => console.log(detail.message)} />
);

const props: BlackboxRelayChatProps = { theme: 'dark' };
export const spread = <blackbox-relay-chat {...props} />;

// @ts-expect-error an agent is named by a string
export const wrong = <blackbox-relay-chat agent={1} />;
