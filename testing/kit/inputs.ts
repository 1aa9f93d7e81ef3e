/**
 * What a test says a source reads: values, and between them what happens to the job. An input is data, so the same one can be
 * played again after a crash: a source goes on from its position, as a real one does.
 */
import { EngineError } from '../../core/errors.ts';

/** Found on every element that is not a plain value. */
const elementBrand: unique symbol = Symbol('millrace.testing.element');

/** An element of an input that is more than its value; made by {@link at}, {@link watermark}, {@link advanceTime}, … */
export interface InputElement<T = never> {
  readonly [elementBrand]: unknown;
  /** Marker for inference only; never set. */
  readonly recordType?: T;
}

type Control =
  | { readonly kind: 'advance-time'; readonly ms: number }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'crash' }
  | { readonly kind: 'pause' };

type Element<T> =
  | { readonly kind: 'at'; readonly timestampMs: number; readonly value: T }
  | { readonly kind: 'watermark'; readonly watermarkMs: number }
  | { readonly kind: 'splits'; readonly splits: readonly (readonly (T | InputElement<T>)[])[] }
  | ({ readonly kind: 'generated'; readonly count: number; readonly make: (index: number) => T } & GeneratedOptions)
  | Control;

/** Options of {@link generated}. */
export interface GeneratedOptions {
  /**
   * Processing time moves on by so many ms before record `index` is read, everything before being worked off; 0 for not at
   * all. The clock of a record is then `startTimeMs` and what was given up to it.
   */
  readonly advanceTimeMs?: (index: number) => number;
}

/** What a source reads in a test: values and elements in order, several {@link splits}, or what is {@link generated}. */
export type JobInput<T = unknown> = readonly (T | InputElement<T>)[] | InputElement<T>;

const elementOf = <T>(element: Element<T>): InputElement<T> => Object.freeze({ [elementBrand]: element });

/** A record with the event time its source gives it, in ms since the epoch. */
export const at = <T>(timestampMs: number, value: T): InputElement<T> =>
  elementOf({ kind: 'at', timestampMs: finite('at', timestampMs), value });

/** The source knows that event time has reached `watermarkMs`: windows and timers up to there fire, records up to there are late. */
export const watermark = (watermarkMs: number): InputElement =>
  elementOf({ kind: 'watermark', watermarkMs: finite('watermark', watermarkMs) });

/** Everything before is worked off, then processing time moves on; timers fire one after the other at their own time. */
export function advanceTime(ms: number): InputElement {
  if (finite('advanceTime', ms) < 0) throw invalid(`advanceTime(${ms}): time does not go back; give 0 ms or more`);
  return elementOf({ kind: 'advance-time', ms });
}

/** Everything before is worked off, then a checkpoint is taken and completes. */
export const checkpoint = (): InputElement => elementOf({ kind: 'checkpoint' });

/** Everything before is worked off, then the job crashes and starts again from its newest checkpoint, or from nothing. */
export const crash = (): InputElement => elementOf({ kind: 'crash' });

/** Everything before is worked off first; with several inputs, the others get their turn. */
export const pause = (): InputElement => elementOf({ kind: 'pause' });

/** A source of several splits (partitions, files): each is in order, nothing is said of the order between them. */
export const splits = <T>(...inputs: readonly (readonly (T | InputElement<T>)[])[]): InputElement<T> =>
  elementOf({ kind: 'splits', splits: inputs });

/**
 * A source of many records, made while they are read and made again after a crash: more than an array should hold.
 * @param make the record of an index; must give the same one each time
 */
export function generated<T>(
  count: number,
  make: (index: number) => T,
  options: GeneratedOptions = {},
): InputElement<T> {
  if (!Number.isSafeInteger(count) || count < 0)
    throw invalid(`generated(${count}, ..): give a whole number of records`);
  if (typeof make !== 'function') throw invalid('generated(count, make): make is no function');
  return elementOf({ kind: 'generated', count, make, ...options });
}

/** What happens between two stretches of an input. */
export interface ScriptControl {
  readonly control: Control;
  /** Elements of the split that are read before it. */
  readonly after: number;
}

/** One element of a split: a record, or a watermark. */
export type ScriptElement =
  | { readonly value: unknown; readonly timestampMs: number; readonly watermarkMs: null }
  | { readonly watermarkMs: number };

/** The elements of a split, which an array of them is. */
export interface ScriptElements {
  readonly length: number;
  at(index: number): ScriptElement | undefined;
}

/** An input taken apart. */
export interface Script {
  readonly splits: readonly ScriptElements[];
  readonly controls: readonly ScriptControl[];
}

/**
 * @param name of the input, for messages
 * @throws EngineError JOB_INVALID when it is not an input
 */
export function scriptOf(name: string, input: JobInput): Script {
  const whole = brandOf(input);
  if (whole?.kind === 'splits') {
    const parts = whole.splits.map((part) => splitOf(name, part));
    if (parts.some((part) => part.controls.length > 0))
      throw invalid(
        `input '${name}': splits(..) takes values, at(..) and watermark(..) only: a checkpoint, a crash or a pause has no place between splits`,
      );
    return { splits: parts.map((part) => part.elements), controls: [] };
  }
  if (whole?.kind === 'generated') return generatedScript(whole);
  if (!Array.isArray(input)) throw invalid(`input '${name}' is not an array: give the values the source reads`);
  const { elements, controls } = splitOf(name, input as readonly unknown[]);
  return { splits: [elements], controls };
}

function generatedScript({ count, make, advanceTimeMs }: Extract<Element<unknown>, { kind: 'generated' }>): Script {
  const controls: ScriptControl[] = [];
  for (let index = 0; advanceTimeMs !== undefined && index < count; index++) {
    const ms = advanceTimeMs(index);
    if (!(ms >= 0 && ms < Number.POSITIVE_INFINITY))
      throw invalid(`advanceTimeMs(${index}) of generated(..) gives ${ms}: time does not go back; give 0 ms or more`);
    if (ms > 0) controls.push({ control: { kind: 'advance-time', ms }, after: index });
  }
  const at = (index: number): ScriptElement => ({ value: make(index), timestampMs: Number.NaN, watermarkMs: null });
  return { splits: [{ length: count, at }], controls };
}

function splitOf(name: string, input: readonly unknown[]): { elements: ScriptElement[]; controls: ScriptControl[] } {
  const elements: ScriptElement[] = [];
  const controls: ScriptControl[] = [];
  for (const item of input) {
    const element = brandOf(item);
    if (element === null) elements.push({ value: item, timestampMs: Number.NaN, watermarkMs: null });
    else if (element.kind === 'at')
      elements.push({ value: element.value, timestampMs: element.timestampMs, watermarkMs: null });
    else if (element.kind === 'watermark') elements.push({ watermarkMs: element.watermarkMs });
    else if (element.kind === 'splits' || element.kind === 'generated')
      throw invalid(`input '${name}': ${element.kind}(..) is a whole input, not an element of one`);
    else controls.push({ control: element, after: elements.length });
  }
  return { elements, controls };
}

function brandOf(item: unknown): Element<unknown> | null {
  if (typeof item !== 'object' || item === null) return null;
  return ((item as Partial<InputElement<unknown>>)[elementBrand] ?? null) as Element<unknown> | null;
}

function finite(what: string, value: number): number {
  if (!Number.isFinite(value)) throw invalid(`${what}(${String(value)}): give a finite number of ms`);
  return value;
}

const invalid = (message: string): EngineError => new EngineError('JOB_INVALID', message);
