/** Reads what the process uses and does what {@link MemoryGuard} decides. */
import { totalmem } from 'node:os';
import { MemoryGuard, type SlotMemory } from './memory-guard.ts';

export interface MemoryWatchOptions<Slot extends SlotMemory> {
  readonly limitBytes: number;
  /** Those that run. */
  readonly slots: () => readonly Slot[];
  readonly endSlot: (slot: Slot, usage: string) => void;
  readonly warn: (message: string) => void;
}

const watchIntervalMs = 250;
const mebibyte = 1024 * 1024;

/** Starts to look. @returns ends it */
export function watchMemory<Slot extends SlotMemory>(options: MemoryWatchOptions<Slot>): () => void {
  const { limitBytes, slots, endSlot, warn } = options;
  const guard = new MemoryGuard(limitBytes, process.memoryUsage.rss());
  const timer = setInterval(() => {
    const residentBytes = process.memoryUsage.rss();
    const decision = guard.look({ residentBytes, slots: slots() });
    if (decision.kind === 'fine') return;
    const usage = `the process uses ${mebibytes(residentBytes)} MiB of memory, its limit is ${mebibytes(limitBytes)} MiB`;
    if (decision.kind === 'end-slot') endSlot(decision.slot, usage);
    else
      warn(
        `${usage}, and its slots do not answer for it; it may be ended by the system → raise --memory-limit, or use fewer slots`,
      );
  }, watchIntervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** For people. */
export function mebibytes(bytes: number): number {
  return Math.round(bytes / mebibyte);
}

/** Of the container this process runs in; null without one, or where it has no limit. */
export function containerLimitBytes(): number | null {
  // Without a limit it answers 0, or a number beyond any machine.
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? limit : null;
}
