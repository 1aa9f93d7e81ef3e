/**
 * A file system for tests that forgets what was not made durable: contents since the last fsync of the file, names since the
 * last fsync of their directory. It records every call, and fails the calls a test chooses. Only what a test can tell
 * apart is modelled: on a crash everything that was not synced is lost (the worst case a real disk may choose).
 */
import { dirname } from 'node:path';
import type { DirectoryEntry, FileSystem, OpenFile } from './file-system.ts';

interface Content {
  bytes: Uint8Array;
  durable: Uint8Array;
  modifiedMs: number;
}
type Entry = Content | 'directory';

export class MemoryFileSystem implements FileSystem {
  /** Calls so far: `<operation> <path>`. */
  readonly calls: string[] = [];
  /** Time of the next modification. */
  nowMs = 0;
  /** Asked before each call; an error code makes the call fail without effect. */
  fault: (operation: string, path: string, callIndex: number) => string | null = () => null;
  /** Awaited before each call: a test may let other things happen in between. */
  pause: () => Promise<void> = () => Promise.resolve();
  #entries = new Map<string, Entry>([['/', 'directory']]);
  #durableEntries = new Map<string, Entry>([['/', 'directory']]);
  openFileCount = 0;

  /** The power fails: only durable names and durable contents are left. */
  crash(): void {
    this.#entries = new Map();
    for (const [path, entry] of this.#durableEntries) {
      if (!this.#ancestorsDurable(path)) continue;
      if (entry !== 'directory') entry.bytes = entry.durable.slice();
      this.#entries.set(path, entry);
    }
    this.#durableEntries = new Map(this.#entries);
  }

  /** Contents of a file for the test to look at or to damage. */
  contents(path: string): Uint8Array | undefined {
    const entry = this.#entries.get(path);
    return entry === undefined || entry === 'directory' ? undefined : entry.bytes;
  }

  get paths(): string[] {
    return [...this.#entries].filter(([, entry]) => entry !== 'directory').map(([path]) => path);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#call('makeDirectory', path);
    this.#needDirectory(dirname(path));
    if (!this.#entries.has(path)) this.#entries.set(path, 'directory');
  }

  async create(path: string): Promise<OpenFile> {
    await this.#call('create', path);
    this.#needDirectory(dirname(path));
    if (this.#entries.has(path)) throw systemError('EEXIST', path);
    const content: Content = { bytes: new Uint8Array(0), durable: new Uint8Array(0), modifiedMs: this.nowMs };
    this.#entries.set(path, content);
    return this.#openFile(path, content);
  }

  async open(path: string): Promise<OpenFile> {
    await this.#call('open', path);
    const entry = this.#entries.get(path);
    if (entry === undefined) throw systemError('ENOENT', path);
    if (entry === 'directory') throw systemError('EISDIR', path);
    return this.#openFile(path, entry);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call('rename', to);
    const entry = this.#entries.get(from);
    if (entry === undefined) throw systemError('ENOENT', from);
    this.#entries.delete(from);
    this.#entries.set(to, entry);
  }

  async remove(path: string): Promise<void> {
    await this.#call('remove', path);
    if (!this.#entries.delete(path)) throw systemError('ENOENT', path);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#call('syncDirectory', path);
    this.#needDirectory(path);
    for (const child of this.#durableEntries.keys()) {
      if (child !== '/' && dirname(child) === path && !this.#entries.has(child)) this.#durableEntries.delete(child);
    }
    for (const [child, entry] of this.#entries) {
      if (child !== '/' && dirname(child) === path) this.#durableEntries.set(child, entry);
    }
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    await this.#call('list', path);
    const found: DirectoryEntry[] = [];
    for (const [child, entry] of this.#entries) {
      if (child === '/' || dirname(child) !== path) continue;
      found.push({ name: child.slice(path === '/' ? 1 : path.length + 1), isDirectory: entry === 'directory' });
    }
    return found;
  }

  async status(path: string): Promise<{ bytes: number; modifiedMs: number } | null> {
    await this.#call('status', path);
    const entry = this.#entries.get(path);
    if (entry === undefined) return null;
    return entry === 'directory'
      ? { bytes: 0, modifiedMs: 0 }
      : { bytes: entry.bytes.length, modifiedMs: entry.modifiedMs };
  }

  #openFile(path: string, content: Content): OpenFile {
    this.openFileCount++;
    return {
      append: async (bytes) => {
        await this.#call('append', path);
        const grown = new Uint8Array(content.bytes.length + bytes.length);
        grown.set(content.bytes);
        grown.set(bytes, content.bytes.length);
        content.bytes = grown;
        content.modifiedMs = this.nowMs;
      },
      read: async (target, position) => {
        await this.#call('read', path);
        const part = content.bytes.subarray(position, position + target.length);
        target.set(part);
        return part.length;
      },
      sync: async () => {
        await this.#call('sync', path);
        content.durable = content.bytes.slice();
      },
      length: async () => {
        await this.#call('length', path);
        return content.bytes.length;
      },
      close: async () => {
        this.openFileCount--;
        await this.#call('close', path);
      },
    };
  }

  async #call(operation: string, path: string): Promise<void> {
    await this.pause();
    const code = this.fault(operation, path, this.calls.length);
    this.calls.push(`${operation} ${path}`);
    if (code !== null) throw systemError(code, path);
  }

  #needDirectory(path: string): void {
    if (this.#entries.get(path) !== 'directory') throw systemError('ENOENT', path);
  }

  #ancestorsDurable(path: string): boolean {
    for (let at = dirname(path); at !== '/'; at = dirname(at)) if (!this.#durableEntries.has(at)) return false;
    return true;
  }
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
