/**
 * Durations are plain numbers of milliseconds, made by functions that carry the unit: `seconds(10)`. Plain, because they
 * travel in the job graph; by function, because a bare number hides its unit from the reader.
 */

/** A span of time in milliseconds. */
export type Duration = number;

/** `value` milliseconds. */
export const milliseconds = (value: number): Duration => value;
/** `value` seconds in milliseconds. */
export const seconds = (value: number): Duration => value * 1000;
/** `value` minutes in milliseconds. */
export const minutes = (value: number): Duration => value * 60_000;
/** `value` hours in milliseconds. */
export const hours = (value: number): Duration => value * 3_600_000;
/** `value` days of 24 hours in milliseconds. */
export const days = (value: number): Duration => value * 86_400_000;
