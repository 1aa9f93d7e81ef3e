/** What a run has unless it says otherwise. */

/**
 * Five seconds before midnight, UTC: a run of ten seconds of event time crosses a day, and windows of ten seconds begin
 * and end within it.
 */
export const firstEventTimeMs = Date.UTC(2026, 2, 1, 23, 59, 55);

export const queryNames = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22].map(
  (number) => `q${number}`,
);

/** Where q10 writes, below the directory of the run. */
export const bidsDirectory = 'nexmark-bids';
