/**
 * Loads the job definition out of an artifact. The artifact imports the engine by name; here the names become the file
 * URLs of the engine that is running, in a localized copy beside the artifact, so that exactly one instance of the
 * engine exists whatever lies in `node_modules` of the job. Slots of one machine may load the same artifact at the same
 * time: a copy is written under a name of its own and renamed, and its name is a hash of its content.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { EngineError, isEngineError } from '../../core/errors.ts';
import { type EnginePackage, enginePackage } from './engine-package.ts';
import { isJobDefinition, type JobDefinition } from '../../core/graph/job-definition.ts';

interface ArtifactHeader {
  readonly format: number;
  readonly entry: string;
  readonly resolveFrom: string;
  readonly externals: readonly string[];
}

const headerPattern = /^\/\* millrace-artifact (\{.*\}) \*\/\n/;

/**
 * The job definition that an artifact exports by default.
 * @param artifactPath a file made by `bundleJob`; its folder must be writable
 * @throws EngineError JOB_INVALID when the file exports no job, or running its top level failed
 */
export async function loadJobDefinition(artifactPath: string): Promise<JobDefinition> {
  const text = await readArtifact(artifactPath);
  const header = readHeader(text, artifactPath);
  const path = await writeLocalized(artifactPath, await localize(text, header));
  // User stacks show the user's file and line. The switch is per thread, and slots load exactly one job.
  process.setSourceMapsEnabled(true);
  const loaded = await importModule(path, header);
  return definitionOf(loaded, header);
}

async function readArtifact(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const options = { domain: 'external', ids: { file: path }, cause } as const;
    throw new EngineError(
      'STORAGE_FAILED',
      `the artifact ${path} cannot be read → check that it still exists and is readable`,
      options,
    );
  }
}

function readHeader(text: string, path: string): ArtifactHeader {
  const match = headerPattern.exec(text);
  const header = match === null ? null : (JSON.parse(match[1] as string) as ArtifactHeader);
  if (header === null || header.format !== 1) {
    throw new EngineError(
      'JOB_INVALID',
      `${path} is not an artifact of this engine → bundle the job file with the millrace that runs it`,
      {
        ids: { file: path },
      },
    );
  }
  return header;
}

/** The artifact's text with each specifier of the engine and of a declared external replaced by a file URL. */
async function localize(text: string, header: ArtifactHeader): Promise<string> {
  // Loaded here: it compiles WebAssembly, which only whoever loads a job should wait for.
  const lexer = await import('es-module-lexer');
  await lexer.init();
  const [imports] = lexer.parse(text, header.entry);
  const running = enginePackage();
  let localized = '';
  let end = 0;
  for (const found of imports) {
    const specifier = found.type === 'import-meta' ? undefined : found.specifier;
    const url = specifier === undefined ? null : urlOf(specifier, header, running);
    if (url === null) continue;
    // The range of a dynamic import includes its quotes.
    const replacement = found.type === 'dynamic' ? JSON.stringify(url) : url;
    localized += text.slice(end, found.start) + replacement;
    end = found.end;
  }
  return localized + text.slice(end);
}

function urlOf(specifier: string, header: ArtifactHeader, engine: EnginePackage): string | null {
  if (specifier === 'millrace' || specifier.startsWith('millrace/')) return engineUrl(specifier, header, engine);
  const declared = header.externals.some((name) => specifier === name || specifier.startsWith(`${name}/`));
  return declared ? externalUrl(specifier, header) : null;
}

function engineUrl(specifier: string, header: ArtifactHeader, engine: EnginePackage): string {
  const subpath = `.${specifier.slice('millrace'.length)}`;
  const target = engine.exports[subpath];
  if (target === undefined) {
    const known = Object.keys(engine.exports)
      .filter((name) => !name.endsWith('.json'))
      .map((name) => `millrace${name.slice(1)}`);
    throw new EngineError(
      'JOB_INVALID',
      `${header.entry} imports ${specifier}, which millrace ${engine.version} does not have → it has ${known.join(', ')}`,
      { ids: { file: header.entry, specifier } },
    );
  }
  const file = join(engine.directory, typeof target === 'string' ? target : target.default);
  return pathToFileURL(file).href;
}

function externalUrl(specifier: string, header: ArtifactHeader): string {
  const bases = [join(header.resolveFrom, 'job.mjs'), join(process.cwd(), 'job.mjs'), fileURLToPath(import.meta.url)];
  for (const base of bases) {
    try {
      return pathToFileURL(createRequire(base).resolve(specifier)).href;
    } catch {
      // Not installed as seen from here; the next place is asked, and the error below names them all.
    }
  }
  throw new EngineError(
    'JOB_INVALID',
    `${header.entry} needs the external package ${specifier}, which is not installed → npm install ${specifier} where the job runs`,
    {
      ids: { file: header.entry, package: specifier, searchedFrom: bases.map((base) => dirname(base)).join(', ') },
    },
  );
}

/** Writes the copy unless it is there already, whole, and returns its path. */
async function writeLocalized(artifactPath: string, text: string): Promise<string> {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const name = `${basename(artifactPath).replace(/\.[^.]*$/, '')}.${enginePackage().version}-${hash}.local.mjs`;
  const path = join(dirname(artifactPath), name);
  // Read, not just looked up: a damaged copy would run as other code.
  if ((await readFile(path, 'utf8').catch(() => null)) === text) return path;
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    const options = { domain: 'external', ids: { file: path }, cause } as const;
    throw new EngineError(
      'STORAGE_FAILED',
      `the artifact cannot be prepared at ${path} → check that the disk has room and the folder is writable`,
      options,
    );
  }
  return path;
}

async function importModule(path: string, header: ArtifactHeader): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (cause) {
    if (isEngineError(cause)) throw cause;
    const message = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    throw new EngineError('JOB_INVALID', `loading ${header.entry} failed: ${message}`, {
      ids: { file: header.entry },
      cause,
    });
  }
}

function definitionOf(module: Record<string, unknown>, header: ArtifactHeader): JobDefinition {
  if (isJobDefinition(module.default)) return module.default;
  const remedy = `write \`export default defineJob('name', (env) => { … })\` in ${header.entry}`;
  throw new EngineError('JOB_INVALID', `${describeExports(module, header.entry)} → ${remedy}`, {
    ids: { file: header.entry },
  });
}

function describeExports(module: Record<string, unknown>, entry: string): string {
  if (!('default' in module)) {
    const named = Object.keys(module).find((name) => isJobDefinition(module[name]));
    if (named !== undefined) return `${entry} exports the job as \`${named}\`, not as its default export`;
    return `${entry} has no default export`;
  }
  return `the default export of ${entry} is ${describeValue(module.default)}, not a job`;
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value instanceof Promise) return 'a promise (definitions are synchronous)';
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`;
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an object with ${Object.keys(value).slice(0, 5).join(', ') || 'no fields'}`;
  return `the ${typeof value} ${JSON.stringify(value)?.slice(0, 40) ?? ''}`;
}
