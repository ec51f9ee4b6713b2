/** One call: its states, its microphone, its peer connection and its speaker. */

import { CallProblem } from './errors.js';
import { Meters } from './meters.js';
import { Microphone } from './microphone.js';
import { accept, audioOf, diagnose, openPeer } from './peer.js';
import { Playback } from './playback.js';
import { Closed, Scope } from './scope.js';

const TRANSITIONS = {
  starting: ['connecting', 'ended'],
  connecting: ['connected', 'ended'],
  connected: ['interrupted', 'ended'],
  interrupted: ['connected', 'ended'],
  ended: [],
};

/** Whatever a call has opened belongs to its scope, and is closed with it, wherever its start is cut. */
export class Call {
  state = 'starting';
  muted = false;
  peer = null;
  stream = null; // what the agent says
  #options;
  #tell; // {changed(state, problem), answer(sdp, channelId), event(type, detail)}
  #scope = new Scope();
  #microphone;
  #playback;
  #meters = new Meters();
  #ready; // the microphone is open, and offers so far are answered
  #offered = false;
  #found = new Set(); // types of our candidates
  #settle;

  constructor({ muted = false, ...options }, tell) {
    this.#options = { gatherTimeout: 3, inviteTimeout: 20, callTimeout: 15, ...options };
    this.#tell = tell;
    this.muted = muted;
    this.connected = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    this.connected.catch(() => {});
    this.#scope.own(() => this.#meters.close());
    this.#playback = new Playback(this.#scope, options.speaker, (play) => tell.event('sound-blocked', { play }));
    this.#microphone = new Microphone(this.#scope, muted, (stream) => this.#send(stream), tell.event);
  }

  get audio() {
    return this.#playback.audio;
  }

  /** Apart from the constructor: whoever is told of what follows has this call already. */
  start() {
    this.#ready = this.#open();
  }

  async #open() {
    try {
      await this.#microphone.open(this.#options.microphone);
      this.#scope.after(this.#options.inviteTimeout, () => this.#offered || this.#fail(new CallProblem('no-offer')));
    } catch (problem) {
      this.#fail(problem);
    }
  }

  invited(frame) {
    this.#offered = true;
    this.#ready = this.#ready.then(() => this.#answer(frame)).catch((problem) => {
      if (this.#scope.closed || problem instanceof Closed) return;
      if (['connected', 'interrupted'].includes(this.state)) return; // a second offer that is no good changes nothing
      this.#fail(problem instanceof CallProblem ? problem : new CallProblem('bad-offer', { cause: problem }));
    });
  }

  /** There is no trickle: gather, then answer. The offer comes in either of two shapes. */
  async #answer({ data = {}, channelId = null }) {
    if (this.#scope.closed) return;
    const wait = (promise) => this.#scope.wait(promise);
    const peer = this.#peer();
    await wait(accept(peer, data.invite ?? data.sdpOffer ?? ''));
    const transceiver = audioOf(peer);
    if (!transceiver) throw new CallProblem('bad-offer', { message: "The agent's offer has no audio." });
    if (this.#microphone.track) {
      transceiver.direction = 'sendrecv';
      await wait(transceiver.sender.replaceTrack(this.#microphone.track));
    }
    await wait(peer.setLocalDescription(await wait(peer.createAnswer())));
    await wait(this.#gathered(peer));
    if (!this.#found.size) throw new CallProblem('no-candidates');
    this.#tell.answer(peer.localDescription.sdp, channelId);
    this.#become('connecting');
    this.#scope.after(this.#options.callTimeout, () => this.state === 'connecting' && this.#fail(this.#diagnosis()));
    this.#look();
  }

  #diagnosis() {
    return diagnose(this.peer, this.#found, this.#options);
  }

  #peer() {
    if (this.peer) return this.peer;
    const peer = (this.peer = openPeer(this.#options));
    this.#scope.own(() => {
      peer.onconnectionstatechange = peer.ontrack = peer.onicecandidate = null;
      peer.close();
    });
    peer.onicecandidate = ({ candidate }) => candidate?.candidate && this.#found.add(candidate.type);
    peer.ontrack = ({ track, streams }) => {
      if (track.kind !== 'audio' && this.stream) return;
      this.stream = streams[0] ?? new MediaStream([track]);
      this.#playback.play(this.stream);
      this.#meters.listen('speaker', this.stream);
    };
    peer.onconnectionstatechange = () => this.#look();
    return peer;
  }

  #look() {
    const { connectionState: now } = this.peer;
    if (now === 'connected' && this.state !== 'starting') {
      this.#become('connected');
      this.#settle.resolve(this);
    } else if (now === 'disconnected' && this.state === 'connected') {
      this.#become('interrupted');
    } else if (now === 'failed') {
      this.#fail(['starting', 'connecting'].includes(this.state) ? this.#diagnosis() : new CallProblem('connection-lost'));
    }
  }

  async #gathered(peer) {
    if (peer.iceGatheringState === 'complete') return;
    await new Promise((done) => {
      this.#scope.listen(peer, 'icegatheringstatechange', () => peer.iceGatheringState === 'complete' && done());
      this.#scope.after(this.#options.gatherTimeout, done);
    });
  }

  /** Put a stream of the microphone's into the call. */
  async #send(stream) {
    this.#meters.listen('microphone', stream);
    const transceiver = this.peer && audioOf(this.peer);
    await transceiver?.sender.replaceTrack(stream?.getAudioTracks()[0] ?? null);
  }

  mute(muted) {
    this.muted = muted;
    this.#microphone.mute(muted);
    this.#tell.changed(this.state);
  }

  setMicrophone(wanted) {
    return this.#microphone.change(wanted);
  }

  async setSpeaker(deviceId) {
    await this.#playback.setSpeaker(deviceId);
  }

  /** Keys behind those that are still to be played. */
  dtmf(keys, duration, gap) {
    const sender = this.peer?.getSenders().find((one) => one.dtmf?.canInsertDTMF);
    if (!sender) throw new CallProblem('no-dtmf');
    sender.dtmf.insertDTMF(sender.dtmf.toneBuffer + keys, duration, gap);
  }

  levels() {
    return { microphone: this.muted ? 0 : this.#meters.level('microphone'), speaker: this.#meters.level('speaker') };
  }

  #become(state, problem) {
    if (!TRANSITIONS[this.state].includes(state)) return;
    this.state = state;
    this.#tell.changed(state, problem);
  }

  #fail(problem) {
    if (!this.#scope.closed) this.stop(problem);
  }

  stop(problem) {
    if (this.#scope.closed) return;
    this.#scope.close();
    this.#settle.reject(problem ?? new CallProblem('cancelled'));
    this.#become('ended', problem);
  }
}
