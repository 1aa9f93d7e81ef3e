/** Time as shells see it. */
export interface Clock {
  /** Milliseconds since the epoch that never go back while the process lives, so differences are durations. */
  nowMs(): number;
  /** Calls back once; returns how to call it off. */
  setTimer(delayMs: number, callback: () => void): () => void;
}

/** The longest delay `setTimeout` takes. */
const delayMsMax = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Math.floor(performance.timeOrigin + performance.now()),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(delayMs, delayMsMax));
    return () => clearTimeout(handle);
  },
};
