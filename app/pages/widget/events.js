/** What the client tells of its conversation, shown in the panel. */

const FORWARDED = ['state', 'turn', 'call', 'ended'];

export class ClientEvents {
  #interrupted = false; // a loss of the connection was told
  #parts;

  /**
   * `parts` has host (the element), nodes, texts(), client(), messages, approvals, call, composer,
   * starting, arrange(state), live() and end().
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** Show what this client tells, as long as it is the element's. */
  follow(client) {
    const { host, texts, messages, approvals, call } = this.#parts;
    const on = (type, listener) => client.on(type, (detail) => this.#parts.client() === client && listener(detail));
    on('queued', (queue) => this.position(queue));
    on('state', (change) => this.#changed(client, change));
    on('text', ({ source, turn }) => this.#piece(source, turn));
    on('turn', (turn) => messages.whole(turn));
    on('withdrawn', (turn) => messages.withdraw(turn));
    on('restored', ({ turns }) => messages.restore(turns));
    on('resumed', () => {
      if (this.#interrupted) messages.note(texts().resumed);
      this.#interrupted = false;
    });
    on('notice', ({ content }) => messages.note(content));
    on('takeover', ({ operator }) => {
      messages.stopTyping();
      messages.note(texts().operatorJoined.replace('{operator}', () => operator));
    });
    on('handback', ({ operator }) => messages.note(texts().operatorLeft.replace('{operator}', () => operator)));
    on('approval', (asked) => this.ask(client, asked));
    on('approval-settled', (settled) => approvals.settled(settled));
    on('draining', () => messages.note(texts().draining));
    on('error', (error) => error.code === 0 && messages.note(error.message));
    on('call', ({ state, problem }) => this.#called(client, state, problem));
    on('sound-blocked', (detail) => call.soundBlocked(detail?.play));
    on('microphone-lost', (problem) => {
      messages.problem(problem?.message ?? texts().microphoneLost, problem?.advice ?? texts().chooseMicrophone);
    });
    for (const type of FORWARDED) on(type, (detail) => host.dispatchEvent(new CustomEvent(type, { detail })));
    host.dispatchEvent(new CustomEvent('relay-client', { detail: client, bubbles: true, composed: true }));
  }

  /** The place in the queue for an agent. */
  position({ position, of }) {
    const { nodes, texts } = this.#parts;
    if (position === null || nodes.panel.dataset.state !== 'queued') return;
    nodes.status.textContent = texts().queuedAt.replace('{position}', position).replace('{of}', of);
  }

  /** A tool call that waits for the user's approval. */
  ask(client, asked) {
    this.#parts.messages.stopTyping();
    this.#parts.approvals.ask(asked, (approve) => client.approve(asked.id, approve));
  }

  #changed(client, { state, reason, delay }) {
    const { starting, arrange, live, messages, texts } = this.#parts;
    // The one that ends for another to begin: the panel shows that other one already.
    const replaced = starting.isUnderWay && !starting.owns(client);
    arrange(replaced ? 'connecting' : state);
    if (state === 'live') live();
    if (state === 'resuming') {
      this.#interrupted = true;
      messages.note(texts().resuming);
    }
    if (state === 'ended') this.#ended(reason, delay);
  }

  #ended(reason, delay) {
    const { call, messages, texts } = this.#parts;
    messages.stopTyping();
    call.show('ended');
    if (reason.code === 1000) return messages.note(texts().ended);
    const wait = reason.retryAfter ?? delay;
    const later = reason.retry !== 'no' && wait ? texts().retryIn.replace('{seconds}', Math.ceil(wait)) : '';
    return messages.problem(reason.message, later);
  }

  #called(client, state, problem) {
    const { nodes, call, messages, starting, end } = this.#parts;
    call.show(state);
    nodes.end.hidden = state !== 'ended' || client.state === 'ended';
    // While it starts, whoever started it is told. Later it is lost for good, and would still be billed.
    if (state !== 'ended' || !problem || starting.owns(client) || client.state === 'ended') return;
    messages.problem(problem.message, problem.advice);
    end();
  }

  #piece(source, turn) {
    this.#parts.messages.piece(source, turn);
    if (source === 'user' && turn.final) this.#parts.composer.expectAnswer();
  }
}
