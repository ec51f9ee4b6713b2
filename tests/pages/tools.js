async () => {
    const chat = await RelayClient.connect({
        agent: 'tools', toolTimeout: 0.4,
        tools: {
            add: { schema: { type: 'object', required: ['a', 'b'], properties: {
                a: { type: 'integer' }, b: { type: ['integer', 'null'] }, unit: { enum: ['m', 's'] },
            } }, run: ({ a, b }) => a + b },
            nothing: () => undefined,
            own: () => { throw new ToolError('sold_out', 'That is sold out, sorry.'); },
            crash: () => { throw new TypeError('secret inner workings'); },
            slow: (_, { signal }) => new Promise(() => signal.addEventListener('abort', () => { window.aborted = true; })),
            huge: () => 'z'.repeat(100_000),
            cyclic: () => { const one = {}; one.one = one; return one; },
        },
    });
    window.chat = chat;
    window.activity = [];
    window.runs = 0;
    chat.tool('once', async () => { window.runs += 1; return { run: window.runs }; });
    chat.on('tool', ({ name, phase }) => activity.push([name, phase]));
}
