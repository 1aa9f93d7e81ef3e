/**
 * Notes what user functions call outside of the job: clocks, random numbers, network, files. The globals are replaced while a
 * simulation runs and do what they did, except that a user function sees the clock of the simulation: two runs in the same
 * millisecond would hide that a result depends on it. Best effort: what is captured before is not seen.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import childProcess from 'node:child_process';
import dns from 'node:dns';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

/** Kinds of things outside. */
export type OutsideKind = 'random' | 'clock' | 'external';

/** One call of a user function, as long as it lasts, also after an `await`. */
export interface UserFrame {
  readonly operatorId: string;
  readonly notes: Map<string, OutsideKind>;
  /** Called for everything noted. */
  note(call: string, kind: OutsideKind): void;
  clockMs(): number;
}

/** The user function that is running. */
export const userFrames: AsyncLocalStorage<UserFrame> = new AsyncLocalStorage<UserFrame>();

const externals: readonly (readonly [string, object, readonly string[]])[] = [
  ['net', net, ['connect', 'createConnection']],
  ['http', http, ['request', 'get']],
  ['https', https, ['request', 'get']],
  ['dns', dns, ['lookup', 'resolve']],
  ['child_process', childProcess, ['spawn', 'spawnSync', 'exec', 'execSync', 'execFile', 'execFileSync', 'fork']],
  ['fs', fs, functionNames(fs, /^(read|write|append|open|stat|exists|readdir|unlink|rm|rename|copy|create)/)],
  ['fs.promises', fs.promises, functionNames(fs.promises, /./)],
];

let installations = 0;
let restore: (() => void) | null = null;

/** Installs the watch until what is returned is called; several may be installed at a time. */
export function watchOutside(): () => void {
  installations++;
  restore ??= install();
  let installed = true;
  return () => {
    if (!installed) return;
    installed = false;
    installations--;
    if (installations > 0) return;
    restore?.();
    restore = null;
  };
}

function install(): () => void {
  const undo: (() => void)[] = [];
  const replace = (owner: object, name: string, make: (original: Callable) => unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    const original = (owner as Record<string, unknown>)[name];
    if (typeof original !== 'function' || before?.configurable === false) return;
    Object.defineProperty(owner, name, {
      value: make(original as Callable),
      configurable: true,
      writable: true,
      enumerable: before?.enumerable ?? true,
    });
    undo.push(() => {
      if (before === undefined) delete (owner as Record<string, unknown>)[name];
      else Object.defineProperty(owner, name, before);
    });
  };
  const noting = (call: string, kind: OutsideKind) => (original: Callable) => {
    return function noted(this: unknown, ...parameters: unknown[]): unknown {
      userFrames.getStore()?.note(call, kind);
      return new.target === undefined
        ? Reflect.apply(original, this, parameters)
        : Reflect.construct(original, parameters);
    };
  };
  replace(Math, 'random', noting('Math.random()', 'random'));
  replace(globalThis.crypto, 'randomUUID', noting('crypto.randomUUID()', 'random'));
  replace(globalThis.crypto, 'getRandomValues', noting('crypto.getRandomValues()', 'random'));
  replace(performance, 'now', noting('performance.now()', 'clock'));
  replace(globalThis, 'Date', (original) => watchedDate(original as unknown as DateConstructor));
  replace(globalThis, 'fetch', noting('fetch()', 'external'));
  for (const [module, owner, names] of externals)
    for (const name of names) replace(owner, name, noting(`${module}.${name}()`, 'external'));
  syncBuiltinESMExports();
  return () => {
    for (const step of undo.reverse()) step();
    syncBuiltinESMExports();
  };
}

type Callable = (...parameters: unknown[]) => unknown;

/** A proxy, so that dates made before are instances of it. */
function watchedDate(original: DateConstructor): DateConstructor {
  const now = (): number => {
    const frame = userFrames.getStore();
    if (frame === undefined) return original.now();
    frame.note('Date.now()', 'clock');
    return frame.clockMs();
  };
  return new Proxy(original, {
    get: (target, name, receiver) => (name === 'now' ? now : Reflect.get(target, name, receiver)),
    construct: (target, parameters, newTarget) => {
      const frame = parameters.length === 0 ? userFrames.getStore() : undefined;
      frame?.note('new Date()', 'clock');
      return Reflect.construct(target, frame === undefined ? parameters : [frame.clockMs()], newTarget) as Date;
    },
    apply: () => new original(now()).toString(),
  });
}

function functionNames(owner: object, pattern: RegExp): string[] {
  return Object.keys(owner).filter(
    (name) =>
      pattern.test(name) && typeof (owner as Record<string, unknown>)[name] === 'function' && !/^[A-Z]/.test(name),
  );
}
