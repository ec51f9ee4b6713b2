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
    let said = 0;
    const talking = setInterval(() => {
        for (let i = 0; i < 3 && said < messages; i += 1) chat.send(`${++said}:` + 'y'.repeat(said * 53 % 700));
    }, 4);
    window.heardAll = () => heard.length >= frames && said === messages;
    window.finish = async () => {
        clearInterval(talking);
        const ended = await chat.hangUp();
        return { heard, resumes, again, ended: `${ended.code} ${ended.message}` };
    };
}
