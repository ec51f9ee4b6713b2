/** The field for a message and its button: what may be sent, and the sign that the agent is answering. */

export class Composer {
  #nodes;
  #messages;
  #texts;
  #client; // gives the client of now, or null

  constructor(nodes, messages, { texts, client }) {
    this.#nodes = nodes;
    this.#messages = messages;
    this.#texts = texts;
    this.#client = client;
    const on = (id, type, listener) => nodes[id].addEventListener(type, listener);
    on('message', 'input', () => this.update());
    on('message', 'keydown', (event) => {
      // An input method takes Enter for itself: some browsers say so by the key code alone.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#send();
    });
    on('send', 'click', () => this.#send());
  }

  get #mayWrite() {
    const client = this.#client();
    return Boolean(client) && client.state !== 'ended' && this.#nodes.panel.dataset.state !== 'ending';
  }

  /** Offer the button where there is something to send, and a conversation to send it in. */
  update() {
    this.#nodes.send.disabled = !this.#nodes.message.value.trim() || !this.#mayWrite;
  }

  focus() {
    this.#nodes.message.focus({ preventScroll: true });
  }

  #send() {
    const { message } = this.#nodes;
    const text = message.value.trim();
    if (!text || !this.#mayWrite) return;
    try {
      this.#client().send(text);
    } catch (error) {
      return void this.#messages.problem(error.message, error.code === 1009 ? this.#texts().shorten : '');
    }
    message.value = '';
    this.update();
    this.#messages.typed(text);
    this.expectAnswer();
  }

  /** The user has spoken: the agent is shown as writing, unless a person has taken over. */
  expectAnswer() {
    const client = this.#client();
    this.#messages.expectAnswer(() => this.#client() === client && client?.state === 'live' && !client.takeover && this.#mayWrite);
  }
}
