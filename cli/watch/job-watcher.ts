/**
 * Waits for changes of the files a job was bundled from. Directories are watched, not files: editors replace a file by
 * renaming another over it, which a watch of the file itself would lose.
 */
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Editors write a file in several steps, and a formatter follows; one change is what happens within this time, in ms. */
const settleMs = 150;

export class JobWatcher {
  #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | null = null;
  #onChange: (() => void) | null = null;
  #changed = false;

  /** From now on these files, absolute paths. A change that came before is kept. */
  watch(files: readonly string[]): void {
    this.#closeWatchers();
    const names = new Map<string, Set<string>>();
    for (const file of files) {
      const directory = dirname(file);
      names.set(directory, (names.get(directory) ?? new Set()).add(basename(file)));
    }
    for (const [directory, wanted] of names) {
      const watcher = watch(directory, (_, name) => {
        if (name === null || wanted.has(name)) this.#noteChange();
      });
      // A directory that vanishes is a change: bundling then says what is missing.
      watcher.on('error', () => this.#noteChange());
      this.#watchers.push(watcher);
    }
  }

  /** Resolves after the next change, or at once after one that nobody has waited for; null once the signal is aborted. */
  async next(signal: AbortSignal): Promise<'changed' | null> {
    if (signal.aborted) return null;
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      this.#onChange = null;
    }
    if (signal.aborted) return null;
    this.#changed = false;
    return 'changed';
  }

  close(): void {
    this.#closeWatchers();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #noteChange(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#changed = true;
      this.#onChange?.();
    }, settleMs);
  }

  #closeWatchers(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }
}
