async () => {
    // Microphone processing squashes a steady tone, so it is off where the tone is measured.
    Object.assign(window, await import('/client.js'));
    window.heard = [];
    window.texts = [];
    window.events = [];
    window.calls = [];
    window.plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    window.ring = async (agent, more = {}) => {
        const chat = new RelayClient({ url: `/ws/${agent}`, callType: 'webCall', turnGap: 0.2, ...more });
        window.chat = chat;
        chat.on('text', ({ text, turn }) => texts.push(text));
        chat.on('event', ({ name }) => events.push(name));
        chat.on('call', ({ state, problem }) => calls.push(problem ? `${state}: ${problem.kind}` : state));
        await chat.open();
        await chat.startCall({ microphone: plain, ...more });
        return chat;
    };
    window.frequency = async (stream) => {
        const context = new AudioContext();
        const analyser = context.createAnalyser();
        analyser.fftSize = 8192;
        context.createMediaStreamSource(stream).connect(analyser);
        const bins = new Float32Array(analyser.frequencyBinCount);
        for (let tries = 0; tries < 100; tries += 1) {
            await new Promise((done) => setTimeout(done, 100));
            analyser.getFloatFrequencyData(bins);
            const top = bins.indexOf(Math.max(...bins));
            if (bins[top] > -50) {
                await context.close();
                return top * context.sampleRate / analyser.fftSize;
            }
        }
        return 0;
    };
    window.codec = async () => {
        const stats = [...(await chat.call.peer.getStats()).values()];
        const inbound = stats.find((one) => one.type === 'inbound-rtp');
        return stats.find((one) => one.id === inbound?.codecId)?.mimeType ?? null;
    };
}
