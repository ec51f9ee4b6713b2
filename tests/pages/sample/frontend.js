import { RelayClient } from '/client.js';

const log = document.querySelector('#log');

// Your backend asks the gateway for a ticket (POST /v1/tickets) and hands it on.
const credential = async () => (await fetch('/my-backend/ticket', { method: 'POST' })).text();

const chat = await RelayClient.connect({ url: '/ws', agent: 'support', credential });

// A tool that the agent runs in this page. What it returns is what the agent is told.
chat.tool('show_order', ({ order_number }) => {
  log.append(`[order ${order_number}]`);
  return { shown: true };
});

// 'connecting', 'live', 'resuming', 'ended': a lost line is resumed by itself.
chat.on('state', ({ state, reason }) => (document.title = reason ? `${state}: ${reason.message}` : state));

chat.send('Where is my order A-1001?');

for await (const turn of chat) {
  log.append(`${turn.source}: ${turn.text}\n`);
}
