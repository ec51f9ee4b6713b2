// A page's own code, as the vendor's chat and voice guides tell: one `initialize`, the offer from
// `sdpInvite`, all candidates gathered, `sdpAnswer`. It uses no library.

window.codes = [];
window.tools = {};

window.start = (socketUrl, callType, additionalData) => {
    const stamp = () => new Date().toISOString();
    const ws = new WebSocket(socketUrl);
    window.ws = ws;
    const send = (frame) => ws.send(JSON.stringify({ ...frame, timestamp: stamp() }));
    window.say = (content) => send({ type: 'incomingChatMessage', content });
    window.end = () => send({ type: 'terminate' });
    ws.onopen = () => send({ type: 'initialize', request: { callType, additionalData } });
    ws.onclose = ({ code }) => codes.push(code);
    ws.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.type === 'sdpInvite') call(frame, send);
        if (frame.type === 'websocketToolRequest') runTool(frame, send);
        if (frame.type === 'text') write(`${frame.content.source}: ${frame.content.text}`);
    };
};

const write = (text) => {
    const line = document.createElement('p');
    line.textContent = text;
    document.body.append(line);
};

const runTool = async ({ channelId, content }, send) => {
    const result = await tools[content.toolName](content.args);
    send({ type: 'websocketToolResponse', channelId: channelId ?? null, content: { id: content.id, result } });
};

const call = async (frame, send) => {
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
    send({ type: 'sdpAnswer', channelId: frame.channelId ?? null, data: { sdpAnswer: peer.localDescription.sdp } });
};
