/** Durations as people write them on a command line: `500ms`, `10s`, `1h30m`. */

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const wholePattern = /^(\d+(\.\d+)?(ms|s|m|h|d))+$/;
const partPattern = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds of a text such as `10s` or `1h30m`; null when it is not one. A number without a unit is not one. */
export function parseDuration(text: string): number | null {
  const compact = text.trim().toLowerCase().replaceAll(' ', '');
  if (!wholePattern.test(compact)) return null;
  let total = 0;
  for (const [, amount, unit] of compact.matchAll(partPattern))
    total += Number(amount) * (unitMs[unit as string] as number);
  const rounded = Math.round(total);
  return Number.isSafeInteger(rounded) ? rounded : null;
}
