/**
 * Ctrl-C, and what `kill` sends: the first asks for a stop with a last checkpoint, the second ends the process at once.
 */

export interface StopSignals {
  /** Aborted by the first signal. */
  readonly stop: AbortSignal;
  /** Gives the signals back to Node. */
  dispose(): void;
}

const signalNames = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Exit code after a second Ctrl-C, as shells have it. */
export const abortedExitCode = 130;

/** Listens for stop signals. `onFirst` and `onSecond` say so to the user; the process exits right after `onSecond`. */
export function listenForStop(onFirst: (signal: string) => void, onSecond: () => void): StopSignals {
  const controller = new AbortController();
  const handle = (signal: NodeJS.Signals): void => {
    if (!controller.signal.aborted) {
      onFirst(signal);
      controller.abort();
      return;
    }
    onSecond();
    process.exit(abortedExitCode);
  };
  for (const name of signalNames) process.on(name, handle);
  return {
    stop: controller.signal,
    dispose: () => {
      for (const name of signalNames) process.off(name, handle);
    },
  };
}
