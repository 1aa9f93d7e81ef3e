/** The real clock and timer of the generator. */
import type { GeneratorTime } from './generator-cursor.ts';

export const systemTime: GeneratorTime = {
  nowMs: () => Date.now(),
  wait: (durationMs, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const finish = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, Math.min(durationMs, timerMaxMs));
      signal.addEventListener('abort', finish);
    }),
};

/** Longest time a Node timer can wait; a longer one would fire at once. */
const timerMaxMs = 2 ** 31 - 1;
