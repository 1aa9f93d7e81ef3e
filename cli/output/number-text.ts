/** Numbers, sizes and times as people read them. Pure, the same in every locale. */

/** `1234567` → `1,234,567`. */
export function countText(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1 record`, `1,234 records`. */
export function recordsText(value: number): string {
  return `${countText(value)} ${value === 1 ? 'record' : 'records'}`;
}

/** Records per second with three digits: `812`, `41.3 K`, `1.26 M`. */
export function rateText(perSecond: number): string {
  if (perSecond < 1_000) return perSecond.toFixed(0);
  return perSecond < 999_500
    ? `${(perSecond / 1_000).toPrecision(3)} K`
    : `${(perSecond / 1_000_000).toPrecision(3)} M`;
}

/** Bytes in decimal units: `512 B`, `1.3 KB`, `84 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? value.toFixed(0) : value.toPrecision(2)} ${units[unit]}`;
}

/** A span of time: `0.84 s`, `12.3 s`, `3 min 05 s`, `2 h 04 min`. */
export function spanText(ms: number): string {
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const two = (value: number): string => value.toString().padStart(2, '0');
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  return `${Math.floor(seconds / 3_600)} h ${two(Math.floor((seconds % 3_600) / 60))} min`;
}

/** A watermark as a date in UTC; `-` before the first, `end` after the last. */
export function eventTimeText(watermarkMs: number): string {
  const largest = 8.64e15;
  if (Number.isNaN(watermarkMs) || watermarkMs < -largest) return '-';
  if (watermarkMs > largest) return 'end';
  return new Date(watermarkMs).toISOString().slice(0, 19).replace('T', ' ');
}
