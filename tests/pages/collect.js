() => {
    window.seen = { states: [], turns: [], ended: null };
    window.watch = (chat) => {
        window.chat = chat;
        chat.on('state', ({ state, reason, attempt, delay }) => seen.states.push({ state, code: reason?.code, retry: reason?.retry, attempt, delay }));
        chat.on('turn', ({ source, text }) => seen.turns.push(`${source}: ${text}`));
        chat.on('ended', ({ code, name, message, retry }) => { seen.ended = { code, name, message, retry }; });
        return chat;
    };
}
