async () => {
    // A gateway and an agent inside the page: a WebSocket class whose other end offers real WebRTC calls.
    Object.assign(window, await import('/client.js'));
    window.opened = { tracks: [], contexts: [], peers: [], sockets: [] };
    window.at = () => {}; // called before and after whatever a start waits for
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));
    const watched = (target, name, seen = () => {}) => {
        const real = target[name];
        target[name] = async function (...given) {
            at(`before ${name}`);
            const value = await real.apply(this, given);
            seen(value);
            at(`after ${name}`);
            return value;
        };
    };
    const keepTracks = (stream) => opened.tracks.push(...stream.getTracks());
    watched(navigator.mediaDevices, 'getUserMedia', keepTracks);
    const RealPeer = RTCPeerConnection;
    window.RTCPeerConnection = class extends RealPeer {
        constructor(...given) { super(...given); opened.peers.push(this); }
    };
    for (const name of ['setRemoteDescription', 'createAnswer', 'setLocalDescription']) watched(RTCPeerConnection.prototype, name);
    watched(RTCRtpSender.prototype, 'replaceTrack');
    const RealContext = AudioContext;
    window.AudioContext = class extends RealContext {
        constructor(...given) { super(...given); opened.contexts.push(this); }
    };
    window.AgentSocket = class {
        readyState = 0;
        bufferedAmount = 0;
        sent = [];
        heard = [];
        constructor(url) {
            this.url = url;
            opened.sockets.push(this);
            pause(5).then(() => this.begin());
        }
        async begin() {
            at('before opening');
            if (this.readyState) return;
            this.readyState = 1;
            this.onopen?.();
            at('before the session');
            const data = { sessionId: 's-1', agent: 'voice', callType: 'webCall', resume: null };
            this.say({ type: 'event', name: 'relay.session', data });
            at('after the session');
            if (!window.noOffer) await this.offer();
        }
        say(frame) { this.onmessage?.({ data: JSON.stringify(frame) }); }
        async offer() {
            const peer = (this.peer = new RealPeer());
            this.stream = new Promise((done) => (peer.ontrack = ({ streams }) => done(streams[0])));
            const context = new RealContext();
            const tone = context.createOscillator();
            const out = context.createMediaStreamDestination();
            tone.connect(out);
            tone.start();
            if (window.videoFirst) peer.addTransceiver('video', { direction: 'sendonly' });
            peer.addTrack(out.stream.getAudioTracks()[0], out.stream);
            await RealPeer.prototype.setLocalDescription.call(peer, await peer.createOffer());
            while (peer.iceGatheringState !== 'complete') await pause(5);
            at('before the offer');
            this.say({ type: 'sdpInvite', channelId: 'c', data: { sdpOffer: peer.localDescription.sdp } });
            at('after the offer');
        }
        send(text) {
            const frame = JSON.parse(text);
            this.sent.push(frame.type);
            if (frame.type === 'sdpAnswer') {
                at('before the answer');
                this.peer.setRemoteDescription({ type: 'answer', sdp: frame.data.sdpAnswer }).catch(() => {});
            }
            if (frame.type === 'terminate') this.close();
        }
        close() {
            if (this.readyState === 3) return;
            this.readyState = 3;
            this.peer?.close();
            pause(1).then(() => this.onclose?.({ code: 1000 }));
        }
    };
    window.quick = { WebSocket: AgentSocket, url: 'ws://localhost/ws', gatherTimeout: 1 };
    window.leftOpen = async () => {
        for (let tries = 0; tries < 100; tries += 1) {
            const left = [
                ...opened.tracks.filter((one) => one.readyState === 'live').map(() => 'track'),
                ...opened.contexts.filter((one) => one.state !== 'closed').map(() => 'context'),
                ...opened.peers.filter((one) => one.signalingState !== 'closed').map(() => 'peer'),
                ...opened.sockets.filter((one) => one.readyState !== 3).map(() => 'socket'),
            ];
            if (!left.length || tries === 99) return left;
            await pause(20);
        }
    };
    window.refusingOnce = (name, refused) => {
        const { getUserMedia } = navigator.mediaDevices;
        navigator.mediaDevices.getUserMedia = async function (wanted) {
            if (refused(wanted)) throw new DOMException('', name);
            return getUserMedia.call(this, wanted);
        };
    };
}
