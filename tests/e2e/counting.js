async ({ url, data, quick }) => {
    Object.assign(window, await import('/client.js'));
    const heard = [];
    const seen = { heard, states: [], resumes: 0, result: null };
    const chat = new RelayClient({
        url, agent: 'counter', callType: 'chat', additionalData: data, attempts: 1000,
        ...(quick && { backoff: { first: 0.02, most: 0.05 }, framesPerSecond: 1e6, frameBurst: 1e6 }),
    });
    chat.on('frame', ({ type, content }) => {
        if (type === 'text' && content.source === 'assistant') heard.push(Number(content.text.match(/\d+/)[0]));
    });
    chat.on('state', ({ state }) => seen.states.push(state));
    chat.on('resumed', () => { seen.resumes += 1; });
    chat.on('result', (result) => { seen.result = result; });
    window.chat = chat;
    window.seen = seen;
    await chat.open();
    window.counting = (async () => {
        for (let said = 1; said <= data.expect && chat.state !== 'ended'; said += 1) {
            chat.send(`number ${said}`);
            if (said % 4 === 0) await new Promise((done) => setTimeout(done, 10));
        }
        const { code } = await chat.closed;
        return { ...seen, code };
    })();
}
