/** A web call's media: peer connection, microphone and speaker. */

import { CallProblem } from './errors.js';
import { openMicrophone } from './microphone.js';

const noop = () => {};

/** One call: the peer connection, its microphone and its speaker. */
export class Call {
  state = 'starting'; // → connecting → connected ⇄ interrupted → ended
  muted = false;
  peer = null;
  stream = null; // what the agent says
  audio = new Audio(); // WebAudio hears a remote stream only while an element plays it
  #options;
  #tell;
  #microphone = null;
  #ready; // the microphone is open, and offers so far are answered
  #offered = false;
  #context = null;
  #meters = {};
  #found = new Set(); // types of our candidates
  #timers = [];
  #settle;

  constructor(options, tell) {
    this.#options = { iceServers: [], gatherTimeout: 3, inviteTimeout: 20, callTimeout: 15, ...options };
    this.#tell = tell;
    this.connected = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.connected.catch(noop);
    this.audio.autoplay = true;
    this.#ready = openMicrophone(this.#options.microphone).then((stream) => {
      if (this.state === 'ended') stream?.getTracks().forEach((track) => track.stop());
      this.#microphone = stream;
      this.#listen('microphone', stream);
      this.#after(this.#options.inviteTimeout, () => this.#offered || this.#fail(new CallProblem('no-offer')));
    });
    this.#ready.catch((problem) => this.#fail(problem));
  }

  invited(frame) {
    this.#offered = true;
    this.#ready = this.#ready.then(() => this.#answer(frame)).catch((problem) => {
      if (this.state === 'connected') return; // a second offer that is no good changes nothing
      this.#fail(problem instanceof CallProblem ? problem : new CallProblem('bad-offer', { cause: problem }));
    });
  }

  /** There is no trickle: gather, then answer. The offer comes in either of two shapes. */
  async #answer({ data = {}, channelId = null }) {
    if (this.state === 'ended') return;
    const peer = this.#peer();
    await accept(peer, data.invite ?? data.sdpOffer ?? '');
    const [track] = this.#microphone?.getAudioTracks() ?? [];
    const [transceiver] = peer.getTransceivers();
    if (track && transceiver) {
      transceiver.direction = 'sendrecv';
      await transceiver.sender.replaceTrack(track);
    }
    await peer.setLocalDescription(await peer.createAnswer());
    await this.#gathered();
    if (!this.#found.size) throw new CallProblem('no-candidates');
    this.#tell.answer(peer.localDescription.sdp, channelId);
    if (this.state === 'starting') this.#become('connecting');
    this.#after(this.#options.callTimeout, () => this.state === 'connecting' && this.#fail(this.#diagnosis()));
  }

  #peer() {
    if (this.peer) return this.peer;
    const peer = (this.peer = new RTCPeerConnection({ iceServers: this.#options.iceServers }));
    peer.onicecandidate = ({ candidate }) => candidate?.candidate && this.#found.add(candidate.type);
    peer.ontrack = ({ track, streams }) => {
      this.stream = streams[0] ?? new MediaStream([track]);
      this.#play();
      this.#listen('speaker', this.stream);
    };
    peer.onconnectionstatechange = () => {
      const { connectionState: now } = peer;
      if (now === 'connected') {
        this.#become('connected');
        this.#settle.resolve(this);
      } else if (now === 'disconnected' && this.state === 'connected') {
        this.#become('interrupted');
      } else if (now === 'failed') {
        this.#fail(this.state === 'connecting' ? this.#diagnosis() : new CallProblem('connection-lost'));
      }
    };
    return peer;
  }

  async #gathered() {
    const { peer } = this;
    if (peer.iceGatheringState === 'complete') return;
    await new Promise((done) => {
      peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && done());
      this.#after(this.#options.gatherTimeout, done);
    });
  }

  /** How this call failed, without any address, so that it may be logged. */
  #diagnosis() {
    const { peer } = this;
    const urls = this.#options.iceServers.flatMap((server) => server.urls);
    const dtls = peer.getSenders()[0]?.transport?.state;
    const theirs = [...(peer.remoteDescription?.sdp ?? '').matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+)/gm)].map((match) => match[1]);
    const near = theirs.every((address) => /^(10|127|192\.168|172\.(1[6-9]|2\d|3[01]))\.|^(::1$|f[cde])|\.local$/i.test(address));
    let kind = 'no-answer';
    if (dtls === 'failed' || ['connected', 'completed'].includes(peer.iceConnectionState)) kind = 'dtls-failed';
    else if (!this.#found.size) kind = 'no-candidates';
    else if (urls.some((url) => /^turns?:/.test(url)) && !this.#found.has('relay')) kind = 'relay-blocked';
    else if (!near && this.#found.size === 1 && this.#found.has('host')) kind = 'host-only';
    return new CallProblem(kind);
  }

  #play() {
    this.audio.srcObject = this.stream;
    if (this.#options.speaker) this.audio.setSinkId?.(this.#options.speaker).catch(noop);
    this.audio.play().catch(() => {
      // Some browsers want a gesture first.
      for (const type of ['pointerdown', 'keydown']) addEventListener(type, () => this.audio.play().catch(noop), { once: true });
    });
  }

  mute(muted) {
    this.muted = muted;
    for (const track of this.#microphone?.getAudioTracks() ?? []) track.enabled = !muted;
    this.#tell.changed(this.state);
  }

  async setMicrophone(wanted) {
    const stream = await openMicrophone(wanted);
    const [track] = stream?.getAudioTracks() ?? [];
    await this.peer?.getTransceivers()[0]?.sender.replaceTrack(track ?? null);
    for (const old of this.#microphone?.getTracks() ?? []) old.stop();
    this.#microphone = stream;
    this.#listen('microphone', stream);
    this.mute(this.muted);
  }

  levels() {
    if (this.#context?.state === 'suspended') this.#context.resume();
    return { microphone: this.muted ? 0 : this.#meters.microphone?.() ?? 0, speaker: this.#meters.speaker?.() ?? 0 };
  }

  #listen(name, stream) {
    if (!stream || this.state === 'ended') return;
    this.#context ??= new AudioContext();
    const analyser = this.#context.createAnalyser();
    analyser.fftSize = 1024;
    this.#context.createMediaStreamSource(stream).connect(analyser);
    const wave = new Float32Array(analyser.fftSize);
    this.#meters[name] = () => {
      analyser.getFloatTimeDomainData(wave);
      return Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length);
    };
  }

  #become(state, problem) {
    if (this.state === state) return;
    this.state = state;
    this.#tell.changed(state, problem);
  }

  #fail(problem) {
    if (this.state === 'ended') return;
    this.#settle.reject(problem);
    this.stop(problem);
  }

  #after(seconds, then) {
    this.#timers.push(setTimeout(then, seconds * 1000));
  }

  stop(problem) {
    if (this.state === 'ended') return;
    this.#timers.forEach(clearTimeout);
    this.#settle.reject(new CallProblem('connection-lost'));
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    if (this.peer) this.peer.onconnectionstatechange = null;
    this.peer?.close();
    this.audio.srcObject = null;
    this.#context?.close();
    this.#context = null;
    this.#meters = {};
    this.#become('ended', problem);
  }
}

/** Take an offer, or say what is missing in it. */
async function accept(peer, sdp) {
  const missing = ['fingerprint', 'ice-ufrag', 'ice-pwd', 'rtcp-mux'].filter((name) => !sdp.includes(`\na=${name}`));
  if (missing.length) throw new CallProblem('bad-offer', { message: `The agent's offer lacks ${missing.join(', ')}.` });
  await peer.setRemoteDescription({ type: 'offer', sdp });
}
