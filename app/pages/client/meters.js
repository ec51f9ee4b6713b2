/** How loud each side is. A meter that cannot be had reads 0: it never disturbs the call. */

export class Meters {
  #context = null;
  #meters = {};
  #failed = false;

  listen(name, stream) {
    delete this.#meters[name];
    if (this.#failed || !stream?.getAudioTracks().length) return;
    try {
      this.#context ??= new AudioContext();
      const analyser = this.#context.createAnalyser();
      analyser.fftSize = 1024;
      this.#context.createMediaStreamSource(stream).connect(analyser);
      const wave = new Float32Array(analyser.fftSize);
      this.#meters[name] = () => {
        analyser.getFloatTimeDomainData(wave);
        return Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length);
      };
    } catch (error) {
      console.warn(`There is no meter for the ${name}: ${error.message}`);
    }
  }

  level(name) {
    try {
      if (this.#context?.state === 'suspended') this.#context.resume().catch(() => {});
      return this.#meters[name]?.() ?? 0;
    } catch {
      return 0;
    }
  }

  close() {
    this.#failed = true;
    this.#meters = {};
    this.#context?.close().catch(() => {});
    this.#context = null;
  }
}
