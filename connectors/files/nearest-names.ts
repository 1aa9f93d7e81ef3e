/** Suggests the names nearest to a wrong one, for error messages. */

const suggestionsMax = 3;

/** Up to three of `names`, nearest by edit distance first; equal distances keep the given order. */
export function nearestNames(wrong: string, names: readonly string[]): string[] {
  const measured = names.map((name) => ({ name, distance: editDistance(wrong.toLowerCase(), name.toLowerCase()) }));
  measured.sort((left, right) => left.distance - right.distance);
  return measured.slice(0, suggestionsMax).map(({ name }) => name);
}

/** Levenshtein distance over UTF-16 units, with one row of memory. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const change = (row[j - 1] as number) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[right.length] as number;
}
