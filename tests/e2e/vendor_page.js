async ({ url, callType, additionalData }) => {
    window.frames_ = [];
    window.closes = [];
    const stamp = () => new Date().toISOString();
    const ws = new WebSocket(url);
    window.ws = ws;
    ws.onopen = () => ws.send(JSON.stringify({ type: 'initialize', timestamp: stamp(), request: { callType, additionalData } }));
    ws.onclose = ({ code }) => closes.push(code);
    ws.onmessage = async ({ data }) => {
        const frame = JSON.parse(data);
        frames_.push(frame);
        if (frame.type !== 'sdpInvite') return;
        const peer = new RTCPeerConnection();
        window.peer = peer;
        const player = new Audio();
        player.autoplay = true;
        peer.ontrack = ({ streams }) => { player.srcObject = streams[0]; window.remote = streams[0]; };
        const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
        microphone.getTracks().forEach((track) => peer.addTrack(track, microphone));
        await peer.setRemoteDescription({ type: 'offer', sdp: frame.data.sdpOffer ?? frame.data.invite });
        await peer.setLocalDescription(await peer.createAnswer());
        if (peer.iceGatheringState !== 'complete') {
            await new Promise((done) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && done(); });
        }
        ws.send(JSON.stringify({ type: 'sdpAnswer', timestamp: stamp(), channelId: frame.channelId ?? null, data: { sdpAnswer: peer.localDescription.sdp } }));
    };
    window.say = (content) => ws.send(JSON.stringify({ type: 'incomingChatMessage', timestamp: stamp(), content }));
    window.spoken = () => frames_.filter((one) => one.type === 'text').map((one) => one.content.text).join('');
    window.loudness = async () => {
        const context = new AudioContext();
        const analyser = context.createAnalyser();
        analyser.fftSize = 8192;
        context.createMediaStreamSource(remote).connect(analyser);
        const bins = new Float32Array(analyser.frequencyBinCount);
        for (let tries = 0; tries < 100; tries += 1) {
            await new Promise((done) => setTimeout(done, 100));
            analyser.getFloatFrequencyData(bins);
            const top = bins.indexOf(Math.max(...bins));
            if (bins[top] > -50) return top * context.sampleRate / analyser.fftSize;
        }
        return 0;
    };
}
