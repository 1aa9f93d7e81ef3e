/** Reads what a file sink has committed, and nothing else. */
import { join } from 'node:path';
import { localFileSystem } from './file-system.ts';
import { committedFiles } from './manifest.ts';

/** A line of a committed file, without its line end. For CSV files this includes the header line, which is not a record. */
export interface CommittedLine {
  /** Name of the file in the directory. */
  readonly file: string;
  readonly line: string;
}

/**
 * The lines of all committed files of an output directory, in order of commit. It reads the manifest once: the lines are those of
 * a whole number of checkpoints, also while a job writes there. Nothing when no sink has committed there.
 * Lines end at line feeds only (`node:readline` would also cut at U+2028, which JSON text may contain).
 */
export async function* readCommitted(directory: string): AsyncIterable<CommittedLine> {
  for (const { name: file } of (await committedFiles(directory)) ?? []) {
    let carried: Uint8Array[] = [];
    for await (const piece of localFileSystem.read(join(directory, file))) {
      let from = 0;
      for (let end = piece.indexOf(0x0a); end >= 0; end = piece.indexOf(0x0a, from)) {
        carried.push(piece.subarray(from, end));
        yield { file, line: Buffer.concat(carried).toString('utf8') };
        carried = [];
        from = end + 1;
      }
      carried.push(piece.subarray(from));
    }
    const rest = Buffer.concat(carried).toString('utf8');
    if (rest.length > 0) yield { file, line: rest };
  }
}
