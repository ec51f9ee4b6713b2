async ({ port, frames, messages }) => {
    const heard = [];
    let resumes = 0, again = 0;
    const chat = new RelayClient({
        url: `ws://127.0.0.1:${port}/ws?frames=${frames}&pause=0.002`, agent: 'count',
        attempts: 1000, backoff: { first: 0.005, most: 0.02 }, framesPerSecond: 1e6, frameBurst: 1e6,
    });
    chat.on('frame', (f) => f.type === 'text' && heard.push(Number(f.content.text.split(':')[0])));
    chat.on('resumed', (r) => { resumes += 1; again += r.replayed + r.resent; });
    await chat.open();
    const all = new Promise((done) => {
        let said = 0;
        const tick = setInterval(() => {
            for (let i = 0; i < 3 && said < messages; i += 1) chat.send(`${++said}:` + 'y'.repeat(said * 53 % 700));
            const written = said === messages && chat.state === 'live' && chat.waiting === 0;
            if (written && heard.length >= frames) { clearInterval(tick); done(); }
        }, 4);
        chat.closed.then(() => { clearInterval(tick); done(); });
    });
    await all;
    const ended = await chat.hangUp();
    return { heard, resumes, again, ended: `${ended.code} ${ended.message}`, waiting: chat.waiting };
}
