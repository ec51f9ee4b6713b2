/** WebRTC's part of a call: the peer connection's configuration, the offer, why it failed. */

import { CallProblem } from './errors.js';

/** What RTCPeerConnection takes, from a call's options. */
function configuration({ iceServers, iceTransportPolicy, rtcConfiguration }) {
  const given = { ...rtcConfiguration };
  given.iceServers = iceServers ?? given.iceServers ?? [];
  if (iceTransportPolicy) given.iceTransportPolicy = iceTransportPolicy;
  return given;
}

/** A peer connection; throws CallProblem `bad-ice-servers` in the browser's words. */
export function openPeer(options) {
  try {
    return new RTCPeerConnection(configuration(options));
  } catch (cause) {
    const said = cause.message.replace(/^Failed to construct 'RTCPeerConnection': /, '');
    throw new CallProblem('bad-ice-servers', { cause, message: `The STUN or TURN servers cannot be used: ${said}` });
  }
}

/** Look whether the options can be used, before anything is opened. */
export function checkPeer(options) {
  openPeer(options).close();
}

/** Take an offer, or say what is missing in it. Gives the transceiver for our audio. */
export async function accept(peer, sdp) {
  const missing = ['fingerprint', 'ice-ufrag', 'ice-pwd', 'rtcp-mux'].filter((name) => !sdp.includes(`\na=${name}`));
  if (missing.length) throw new CallProblem('bad-offer', { message: `The agent's offer lacks ${missing.join(', ')}.` });
  await peer.setRemoteDescription({ type: 'offer', sdp });
}

/** An offer may have video too, and in any order. */
export function audioOf(peer) {
  return peer?.getTransceivers().find((one) => one.receiver.track?.kind === 'audio' && one.currentDirection !== 'stopped');
}

/** How a call failed, without any address, so that it may be logged. `found` are our candidates' types. */
export function diagnose(peer, found, options) {
  const urls = configuration(options).iceServers.flatMap((server) => server.urls);
  const dtls = audioOf(peer)?.sender.transport?.state;
  const theirs = [...(peer.remoteDescription?.sdp ?? '').matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+)/gm)].map((match) => match[1]);
  const near = theirs.every((address) => /^(10|127|192\.168|172\.(1[6-9]|2\d|3[01]))\.|^(::1$|f[cde])|\.local$/i.test(address));
  let kind = 'no-answer';
  if (dtls === 'failed' || ['connected', 'completed'].includes(peer.iceConnectionState)) kind = 'dtls-failed';
  else if (!found.size) kind = 'no-candidates';
  else if (urls.some((url) => /^turns?:/.test(url)) && !found.has('relay')) kind = 'relay-blocked';
  else if (!near && found.size === 1 && found.has('host')) kind = 'host-only';
  return new CallProblem(kind);
}
