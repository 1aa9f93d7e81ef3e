/** Embedded mode: one job, its job manager and one task manager in this process, with a local directory as storage. */
import { EmbeddedEngine } from './embedded-engine.ts';
import type { RunEmbeddedOptions, RunOutcome } from './run-types.ts';

/** How often progress is told, in ms. */
const progressIntervalMs = 1_000;

/** Runs one job in this process. */
export async function runEmbedded(options: RunEmbeddedOptions): Promise<RunOutcome> {
  let begun = false;
  const engine = await EmbeddedEngine.start({
    ...options,
    taskManagers: 1,
    onDelivery: (channel, id, values) => options.onDelivery(channel, id, values),
    onNotice: (notice) => {
      if (begun || notice.kind !== 'state-changed' || notice.to !== 'deploying') return;
      begun = true;
      options.onStart?.(engine.progress?.restored ?? null);
    },
  });
  const tell = (): void => {
    const { progress } = engine;
    if (begun && progress !== null) options.onProgress(progress);
  };
  const timer = setInterval(tell, progressIntervalMs);
  try {
    await engine.register();
    return await engine.run(options, options.stop);
  } finally {
    clearInterval(timer);
    await engine.stop();
  }
}
