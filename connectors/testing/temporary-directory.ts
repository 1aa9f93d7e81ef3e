/** A directory for one test, removed when the test is over. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Creates a fresh directory; call it inside a test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-connector-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
