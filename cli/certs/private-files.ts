/** Files that only their owner may read, never half written and never over another file unless that is meant. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { EngineError } from '../../core/errors.ts';

const ownerOnly = 0o600;
const everybodyReads = 0o644;

export function makePrivateDirectory(directory: string): void {
  if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** @throws EngineError CONFIG_INVALID when the file is there */
export function refuseExisting(path: string, what: string): void {
  if (!existsSync(path)) return;
  const message = `${path} is there already; ${what} does not overwrite it → choose another name or directory`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { file: path } });
}

/** Whoever reads sees the old text or the new one. */
export function replaceFile(path: string, text: string, { secret }: { readonly secret: boolean }): void {
  const temporary = `${path}.${process.pid}.new`;
  rmSync(temporary, { force: true });
  const mode = secret ? ownerOnly : everybodyReads;
  // Made with its mode: nobody can open it in between.
  const file = openSync(temporary, 'wx', mode);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  chmodSync(temporary, mode);
  renameSync(temporary, path);
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
