/** Browser tools: asked for by the agent, run once, answered exactly once. */

import { ToolError } from './errors.js';
import { argumentsOf, misfit } from './schema.js';

const REMEMBERED = 200;
const failure = (code, message) => ({ error: { code, message } });

export class BrowserTools {
  #tools = new Map();
  #answers = new Map(); // request id → its answer: a repeated request runs nothing twice
  #client;
  #timeout;
  #signal;
  #emit;

  /** `timeout` in seconds; `signal` stops what runs; `emit(type, detail)` for `tool`. */
  constructor(client, timeout, signal, emit) {
    this.#client = client;
    this.#timeout = timeout;
    this.#signal = signal;
    this.#emit = emit;
  }

  serve(name, schema, run) {
    if (typeof schema === 'function') [schema, run] = [null, schema];
    const tool = { schema, run };
    this.#tools.set(name, tool);
    return () => this.#tools.get(name) === tool && this.#tools.delete(name);
  }

  forget() {
    this.#answers.clear();
  }

  /** Answer a request by `send(frame, always)`, if the page has such a tool. */
  async request(frame, send) {
    const { id, toolName: name, args: given } = frame.content ?? {};
    const tool = this.#tools.get(name);
    if (!tool) return;
    const args = argumentsOf(given, tool.schema);
    if (!this.#answers.has(id)) {
      this.#answers.set(id, this.#run(tool, { id, name, args }));
      if (this.#answers.size > REMEMBERED) this.#answers.delete(this.#answers.keys().next().value);
    }
    const result = await this.#answers.get(id);
    const answer = (content, always) => {
      send({ type: 'websocketToolResponse', channelId: frame.channelId ?? null, content }, always);
    };
    try {
      answer({ id, result }, false);
    } catch {
      answer({ id, result: failure('result_too_large', 'The answer is too large to be sent.') }, true);
    }
  }

  async #run({ schema, run }, { id, name, args }) {
    const started = Date.now();
    this.#emit('tool', { id, name, args, phase: 'called' });
    const ended = new AbortController();
    const stop = () => ended.abort();
    this.#signal.addEventListener('abort', stop);
    let result;
    const limit = setTimeout(stop, this.#timeout * 1000);
    try {
      const fault = schema && misfit(args, schema);
      if (fault) throw new ToolError('invalid_arguments', fault);
      const late = new Promise((_, reject) => {
        ended.signal.addEventListener('abort', () => reject(new ToolError('timeout', 'That took too long.')));
      });
      const value = await Promise.race([run(args, { id, name, signal: ended.signal, chat: this.#client }), late]);
      result = JSON.parse(JSON.stringify(value ?? null));
    } catch (error) {
      result = error instanceof ToolError
        ? failure(error.code, error.message)
        : failure('tool_failed', 'This could not be done in the browser just now.');
      if (!(error instanceof ToolError)) console.error(`browser tool ${name} failed`, error);
    } finally {
      clearTimeout(limit);
      this.#signal.removeEventListener('abort', stop);
    }
    this.#emit('tool', { id, name, args, phase: result?.error ? 'failed' : 'answered', result, ms: Date.now() - started });
    return result;
  }
}
