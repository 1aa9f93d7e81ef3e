/**
 * An error as the CLI shows it: what happened, the ids concerned, the user's part of the stack, what to do. The stack of
 * the engine helps nobody but its authors, so it is shown only for internal errors.
 */
import { type EngineError, isEngineError } from '../../core/errors.ts';
import { remedyOf } from './remedies.ts';

export interface ErrorTextOptions {
  /** Root of the engine's package; stack frames below its own folders are the engine's. */
  readonly engineDirectory: string;
  /** Stack paths below it are shown relative to it. */
  readonly workingDirectory: string;
}

const causeDepthMax = 4;
const framesMax = 8;
const engineFolders = [
  'bin',
  'cli',
  'client',
  'connectors',
  'core',
  'dist',
  'jobmanager',
  'node_modules',
  'proto',
  'runtime',
  'storage',
  'taskmanager',
  'testing',
];

/** Lines of text for any error. */
export function errorText(error: EngineError, options: ErrorTextOptions): string {
  const [what, ownRemedy] = splitRemedy(error.message);
  const lines = [`error: ${what}`, ...idLines(error, what)];
  const wholeStack = error.domain === 'internal';
  lines.push(...stackLines(error, wholeStack, options), ...causeLines(error.cause, what, wholeStack, options));
  const remedy = ownRemedy ?? remedyOf(error.code);
  lines.push(`→ ${remedy}`);
  return lines.join('\n');
}

/** Messages may end in `→ what to do`. */
function splitRemedy(message: string): readonly [string, string | null] {
  const index = message.lastIndexOf('→');
  if (index < 0) return [message.trimEnd(), null];
  return [message.slice(0, index).trimEnd(), message.slice(index + 1).trim()];
}

/** Ids that the text does not already name. */
function idLines(error: EngineError, what: string): readonly string[] {
  const shown = Object.entries(error.ids).filter(([, value]) => !what.includes(String(value)));
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return [
    `  code${' '.repeat(Math.max(0, width - 4))}  ${error.code}`,
    ...shown.map(([name, value]) => `  ${name.padEnd(Math.max(4, width))}  ${value}`),
  ];
}

function causeLines(
  cause: unknown,
  shown: string,
  wholeStack: boolean,
  options: ErrorTextOptions,
  depth = 0,
): readonly string[] {
  if (!(cause instanceof Error) || depth >= causeDepthMax) return [];
  const [message] = splitRemedy(cause.message);
  // Wrappers repeat the text of what they wrap; its frames are still news.
  const title = shown.includes(message) ? [] : [`  caused by ${nameOf(cause)}: ${message}`];
  const rest = causeLines(cause.cause, shown, wholeStack, options, depth + 1);
  return [...title, ...stackLines(cause, wholeStack, options), ...rest];
}

/** A foreign error that crossed a thread is an EngineError, but its stack still begins with what it was. */
function nameOf(error: Error): string {
  const original = /^([A-Za-z]*(?:Error|Exception)): /.exec(error.stack ?? '')?.[1];
  if (original !== undefined && original !== 'EngineError') return original;
  return isEngineError(error) ? error.code : error.name;
}

function stackLines(error: Error, whole: boolean, options: ErrorTextOptions): readonly string[] {
  // Nobody looks for a typing mistake on the command line in the source of the job.
  if (isEngineError(error) && (error.code === 'USAGE' || error.code === 'PARAMETER_INVALID')) return [];
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const kept = whole ? frames : frames.filter((frame) => isUserFrame(frame, options.engineDirectory));
  return kept.slice(0, framesMax).map((frame) => `    ${shorten(frame.trim(), options.workingDirectory)}`);
}

/** True for a frame in the user's own files: neither Node's, nor the engine's, nor a package's. */
export function isUserFrame(frame: string, engineDirectory: string): boolean {
  const path = pathOf(frame);
  if (path === null || path.includes('/node_modules/')) return false;
  if (path.endsWith('.local.mjs')) return false;
  const root = `${engineDirectory}/`;
  if (!path.startsWith(root)) return true;
  return !engineFolders.includes(path.slice(root.length).split('/')[0] ?? '');
}

/** The file of a stack frame; null for frames of Node and native code. */
function pathOf(frame: string): string | null {
  const place = /\(([^()]+):\d+:\d+\)\s*$/.exec(frame)?.[1] ?? /at (?:async )?(\S+):\d+:\d+\s*$/.exec(frame)?.[1];
  if (place === undefined || place.startsWith('node:') || place === '<anonymous>') return null;
  return place.startsWith('file://') ? decodeURI(place.slice('file://'.length)) : place;
}

function shorten(frame: string, workingDirectory: string): string {
  return frame.replaceAll('file://', '').replaceAll(`${workingDirectory}/`, '');
}
