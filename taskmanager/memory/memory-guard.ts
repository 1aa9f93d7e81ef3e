/**
 * Which slot is ended when the whole process uses more memory than it may. A heap has a limit of its own; Buffers, typed arrays
 * and what native modules hold lie outside of it, and without this the machine would end the process with all of its slots.
 * Pure: the shell reads the figures and ends threads.
 *
 * A slot is ended only where that helps: memory that no slot answers for (freed, but kept by the allocator, or of a native
 * module) is told, and nobody is ended for it.
 */

/** What a slot has said last. */
export interface SlotMemory {
  readonly heapBytes: number;
  /** Outside of the heap, but held by objects in it. */
  readonly externalBytes: number;
  /** It has been in one call for so long that it cannot have told what it holds now. */
  readonly isSilent: boolean;
}

export interface MemoryReading<Slot extends SlotMemory> {
  /** Of the whole process. */
  readonly residentBytes: number;
  readonly slots: readonly Slot[];
}

export type MemoryDecision<Slot extends SlotMemory> =
  | { readonly kind: 'fine' }
  | { readonly kind: 'end-slot'; readonly slot: Slot }
  /** Above the limit, by no slot that could be named; said once until it is below again. */
  | { readonly kind: 'unexplained' };

/** Readings in a row above the limit before a slot is ended: garbage may be about to be collected. */
export const readingsAboveMin = 2;
/** Readings after a slot was ended in which no other is: its memory goes back while its thread ends. */
export const readingsOfGrace = 12;

const fine = { kind: 'fine' } as const;

export class MemoryGuard {
  readonly #limitBytes: number;
  /** What slots must answer for at least, so that ending one of them helps. */
  readonly #explainedMin: number;
  #above = 0;
  #grace = 0;
  #told = false;

  /** @param idleBytes what the process used before any slot ran */
  constructor(limitBytes: number, idleBytes: number) {
    this.#limitBytes = limitBytes;
    this.#explainedMin = Math.max(0, limitBytes - idleBytes) / 2;
  }

  look<Slot extends SlotMemory>({ residentBytes, slots }: MemoryReading<Slot>): MemoryDecision<Slot> {
    if (this.#grace > 0) this.#grace--;
    if (residentBytes <= this.#limitBytes) {
      this.#above = 0;
      this.#told = false;
      return fine;
    }
    this.#above++;
    if (this.#above < readingsAboveMin || this.#grace > 0) return fine;
    const slot = slotToEnd(slots, this.#explainedMin);
    if (slot !== null) {
      this.#grace = readingsOfGrace;
      return { kind: 'end-slot', slot };
    }
    if (this.#told) return fine;
    this.#told = true;
    return { kind: 'unexplained' };
  }
}

function slotToEnd<Slot extends SlotMemory>(slots: readonly Slot[], explainedMin: number): Slot | null {
  const total = slots.reduce((sum, slot) => sum + wholeOf(slot), 0);
  if (total < explainedMin) return slots.find(({ isSilent }) => isSilent) ?? null;
  const outside = largest(slots, ({ externalBytes }) => externalBytes);
  // Mostly heaps: a slot with a few more Buffers than others is not the cause.
  if (outside !== null && outside.externalBytes * 4 >= total) return outside;
  return largest(slots, wholeOf);
}

const wholeOf = ({ heapBytes, externalBytes }: SlotMemory): number => heapBytes + externalBytes;

function largest<Slot>(slots: readonly Slot[], size: (slot: Slot) => number): Slot | null {
  let found: Slot | null = null;
  for (const slot of slots) if (found === null || size(slot) > size(found)) found = slot;
  return found;
}
