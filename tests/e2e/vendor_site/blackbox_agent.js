// A stand-in for the vendor's <blackbox-agent>, written from its public documentation alone.
//
// Attributes: server-url, token, theme, position, skip-discovery, data-config. Methods: open, close,
// toggle. What no public page tells is this file's own: the property `tools` (name → function, for
// websocketToolRequest), the properties `peer` and `remote` (the call's media) and the event `ended`.

class BlackboxAgent extends HTMLElement {
    static observedAttributes = ['theme', 'position'];

    tools = {};
    peer = null;
    remote = null;
    #panel;
    #socket = null;
    #player = new Audio();

    connectedCallback() {
        const root = this.attachShadow({ mode: 'open' });
        root.innerHTML = `
            <style>
                :host { position: fixed; bottom: 1rem; right: 1rem; }
                :host([data-place^="top"]) { top: 1rem; bottom: auto; }
                :host([data-place$="left"]) { left: 1rem; right: auto; }
                :host([data-tone="dark"]) section { background: #111; color: #eee; }
                section { width: 20rem; background: #fff; color: #111; }
            </style>
            <button id="launch">Talk to us</button>
            <section hidden>
                <p role="status">Getting ready</p>
                <ol></ol>
                <button id="chat" disabled>Chat</button>
                <button id="call" disabled>Call</button>
                <form hidden><input aria-label="Message"><button>Send</button></form>
                <button id="end" hidden>Finish</button>
            </section>`;
        this.#panel = root.querySelector('section');
        this.#on('launch', () => this.toggle());
        this.#on('chat', () => this.#start('chat'));
        this.#on('call', () => this.#start('webCall'));
        this.#on('end', () => this.#send({ type: 'terminate' }));
        root.querySelector('form').addEventListener('submit', (event) => {
            event.preventDefault();
            const input = root.querySelector('input');
            this.#send({ type: 'incomingChatMessage', content: input.value });
            input.value = '';
        });
        this.#player.autoplay = true;
        this.#look({});
        this.#discover();
    }

    attributeChangedCallback() {
        if (this.#panel) this.#look({});
    }

    open() {
        this.#panel.hidden = false;
    }

    close() {
        this.#panel.hidden = true;
    }

    toggle() {
        this.#panel.hidden = !this.#panel.hidden;
    }

    get #config() {
        return JSON.parse(this.dataset.config || '{}');
    }

    get #host() {
        return this.getAttribute('server-url').replace(/^[a-z]+:\/\//i, '');
    }

    get #secure() {
        return !/^(http|ws):\/\//i.test(this.getAttribute('server-url'));
    }

    get #query() {
        return `token=${encodeURIComponent(this.getAttribute('token'))}`;
    }

    #part(id) {
        return this.shadowRoot.getElementById(id);
    }

    #on(id, act) {
        this.#part(id).addEventListener('click', act);
    }

    #tell(status) {
        this.shadowRoot.querySelector('[role=status]').textContent = status;
    }

    #look({ theme, position }) {
        this.dataset.tone = this.getAttribute('theme') ?? theme ?? 'light';
        this.dataset.place = this.getAttribute('position') ?? position ?? 'bottom-right';
    }

    async #discover() {
        let features = this.#config.features ?? [];
        if (!this.hasAttribute('skip-discovery')) {
            const url = `${this.#secure ? 'https' : 'http'}://${this.#host}/api/v1/web-integrations/discover?${this.#query}`;
            let found;
            try {
                const answer = await fetch(url, { headers: { accept: 'application/json' } });
                if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
                found = await answer.json();
            } catch {
                this.#tell('This agent is not available');
                return;
            }
            if (!found.enabled) {
                this.#tell('This agent is switched off');
                return;
            }
            this.#look(found.widgetAppearance ?? {});
            this.#panel.setAttribute('aria-label', found.name);
            features = found.features;
        }
        this.#gate('chat', 'AllowWebChat', features);
        this.#gate('call', 'AllowWebCall', features);
        this.#tell('Ready');
    }

    #gate(id, name, features) {
        const { enableFeatureGating = true, uiGatingMode = 'hide' } = this.#config;
        const off = enableFeatureGating && features.some((one) => one.name === name && !one.enabled);
        this.#part(id).hidden = off && uiGatingMode === 'hide';
        this.#part(id).disabled = off;
    }

    #start(callType) {
        const socket = new WebSocket(
            `${this.#secure ? 'wss' : 'ws'}://${this.#host}/api/v1/ws/webCall?${this.#query}`,
        );
        this.#socket = socket;
        this.#tell('Connecting');
        this.#part('chat').hidden = this.#part('call').hidden = true;
        socket.onopen = () => this.#send({ type: 'initialize', request: { callType, additionalData: {} } });
        socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
        socket.onclose = ({ code }) => this.#ended(code);
    }

    #send(frame) {
        const { type, ...rest } = frame;
        this.#socket.send(JSON.stringify({ type, timestamp: new Date().toISOString(), ...rest }));
    }

    async #receive(frame) {
        switch (frame.type) {
            case 'event':
                this.#event(frame.name);
                break;
            case 'text':
                this.#show(frame.content);
                break;
            case 'sdpInvite':
                await this.#answer(frame);
                break;
            case 'websocketToolRequest':
                await this.#runTool(frame);
                break;
            case 'conversationResult':
                this.#tell(`Ended: ${frame.result.status}`);
                break;
            case 'error':
                this.#tell(`Error: ${frame.data.message}`);
        }
    }

    #event(name) {
        if (name === 'connection') {
            this.#tell('Connected');
            this.shadowRoot.querySelector('form').hidden = this.#part('end').hidden = false;
        }
        if (name === 'opened') this.#tell('In a call');
    }

    #show({ source, text }) {
        const line = document.createElement('li');
        line.textContent = `${source}: ${text}`;
        this.shadowRoot.querySelector('ol').append(line);
    }

    async #answer({ channelId = null, data }) {
        const peer = new RTCPeerConnection();
        this.peer = peer;
        peer.ontrack = ({ streams }) => {
            this.remote = streams[0];
            this.#player.srcObject = streams[0];
        };
        const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
        for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
        await peer.setRemoteDescription({ type: 'offer', sdp: data.sdpOffer ?? data.invite });
        const gathered = new Promise((done) => {
            peer.onicecandidate = ({ candidate }) => candidate === null && done();
        });
        await peer.setLocalDescription(await peer.createAnswer());
        await gathered;
        this.#send({ type: 'sdpAnswer', channelId, data: { sdpAnswer: peer.localDescription.sdp } });
    }

    async #runTool({ channelId = null, content: { id, toolName, args } }) {
        const tool = this.tools[toolName];
        const result = tool ? await tool(args) : { error: `no tool ${toolName}` };
        this.#send({ type: 'websocketToolResponse', channelId, content: { id, result } });
    }

    #ended(code) {
        this.#socket = null;
        this.peer?.close();
        this.shadowRoot.querySelector('form').hidden = this.#part('end').hidden = true;
        this.dispatchEvent(new CustomEvent('ended', { detail: { code } }));
    }
}

customElements.define('blackbox-agent', BlackboxAgent);
