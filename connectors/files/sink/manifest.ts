/**
 * The manifest of an output directory: which files are committed. It is a log of lines, each with a checksum, so that a commit
 * costs the bytes of its own files and not of all before it:
 *
 *     <sha256, 16 hex digits> {"type":"header", …}     whose directory this is; the first line
 *     <…> {"type":"intent","files":[…]}                about to be renamed to their final names
 *     <…> {"type":"commit","files":[…]}                committed: all of them or none, because a torn line does not count
 *
 * A reader of commit lines sees all of a checkpoint or nothing of it. Intents exist so that files which a crash left
 * renamed but not committed are known to be ours. Only the last line can be torn; it is cut off before the next is added.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { EngineError } from '../../../core/connector/index.ts';
import { localFileSystem } from './file-system.ts';
import type { SinkFileSystem } from './file-system.ts';

/** Name of the manifest in an output directory. */
export const manifestName = '_millrace.manifest';
const manifestVersion = 1;

/** A committed file of an output directory. */
export interface CommittedFile {
  readonly name: string;
  readonly bytes: number;
  /** Hex digits of the content's SHA-256. */
  readonly sha256: string;
  readonly records: number;
  readonly checkpointId: number;
}

export interface ManifestHeader {
  readonly type: 'header';
  readonly version: number;
  readonly owner: string;
  readonly jobName: string;
  readonly operatorId: string;
}

export type ManifestLine =
  | ManifestHeader
  | { readonly type: 'intent'; readonly files: readonly CommittedFile[] }
  | { readonly type: 'commit'; readonly files: readonly CommittedFile[] };

export interface Manifest {
  readonly header: ManifestHeader;
  /** Committed files by name, in order of commit. */
  readonly committed: Map<string, CommittedFile>;
  /** Files that were to be renamed and are not known to be committed, by name. */
  readonly intended: Map<string, CommittedFile>;
  /** Length of the valid lines; the file may have a torn line after them. */
  readonly bytes: number;
}

function checksum(json: string): string {
  return createHash('sha256').update(json).digest('hex').slice(0, 16);
}

/** One line of a manifest, with its checksum and line feed. */
export function manifestLine(line: ManifestLine): string {
  const json = JSON.stringify(line);
  return `${checksum(json)} ${json}\n`;
}

export function manifestHeader(owner: string, jobName: string, operatorId: string): ManifestHeader {
  return { type: 'header', version: manifestVersion, owner, jobName, operatorId };
}

/** Reads the lines of a manifest. Null when not even the header is there. Throws for damage before the last line. */
export function parseManifest(content: Buffer, path: string): Manifest | null {
  const committed = new Map<string, CommittedFile>();
  const intended = new Map<string, CommittedFile>();
  let header: ManifestHeader | null = null;
  let offset = 0;
  while (offset < content.length) {
    const lineEnd = content.indexOf(0x0a, offset);
    const line = lineEnd < 0 ? null : parseLine(content.toString('utf8', offset, lineEnd));
    if (line === null) {
      if (lineEnd >= 0 && lineEnd < content.length - 1) throw damagedManifest(path, offset);
      break;
    }
    if (line.type === 'header') header = checkedHeader(line, path);
    else remember(line, committed, intended);
    offset = lineEnd + 1;
  }
  return header === null ? null : { header, committed, intended, bytes: offset };
}

function remember(
  line: Exclude<ManifestLine, ManifestHeader>,
  committed: Map<string, CommittedFile>,
  intended: Map<string, CommittedFile>,
): void {
  for (const file of line.files) {
    if (committed.has(file.name)) continue;
    if (line.type === 'intent') {
      intended.set(file.name, file);
    } else {
      committed.set(file.name, file);
      intended.delete(file.name);
    }
  }
}

function parseLine(text: string): ManifestLine | null {
  const json = text.slice(17);
  if (text[16] !== ' ' || text.slice(0, 16) !== checksum(json)) return null;
  return JSON.parse(json) as ManifestLine;
}

function checkedHeader(header: ManifestHeader, path: string): ManifestHeader {
  if (header.version === manifestVersion) return header;
  throw new EngineError(
    'NOT_SUPPORTED',
    `${path} has version ${header.version}, this release reads version ${manifestVersion}. Use the release that wrote it, or another output directory.`,
    { ids: { path } },
  );
}

function damagedManifest(path: string, offset: number): EngineError {
  return new EngineError(
    'STORAGE_FAILED',
    `the output manifest ${path} is damaged at byte ${offset}: a line before the last does not match its checksum. Which files are committed is no longer certain: restore the manifest, or write to another directory.`,
    { domain: 'external', ids: { path } },
  );
}

/** The manifest of a directory, or null when it has none. */
export async function readManifest(
  directory: string,
  fileSystem: SinkFileSystem = localFileSystem,
): Promise<Manifest | null> {
  const path = join(directory, manifestName);
  if ((await fileSystem.length(path)) === null) return null;
  return parseManifest(await fileSystem.readWhole(path), path);
}

/** The committed files of an output directory in order of commit; null when no sink has written there. */
export async function committedFiles(directory: string): Promise<CommittedFile[] | null> {
  const manifest = await readManifest(directory);
  return manifest === null ? null : [...manifest.committed.values()];
}
