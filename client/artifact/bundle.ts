/**
 * Bundles a job file into the one file that is shipped: the artifact. The engine itself stays outside (`millrace`
 * specifiers are resolved by whoever loads the artifact, so that exactly one instance exists), Node's modules stay
 * outside, everything else is inside. Native modules cannot be inside: they are declared as externals or refused here,
 * not at the first record.
 *
 * The first line of an artifact is a comment with its header, so that a loader can name the job file in messages and
 * find the declared externals.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildFailure, BuildOptions, Message, Metafile } from 'esbuild';
import { EngineError } from '../../core/errors.ts';

export interface JobBundle {
  /** ES module text as UTF-8, source map inline. */
  readonly code: Uint8Array;
  /** The same source map as JSON text; its sources are absolute file URLs. */
  readonly sourceMap: string;
  /** Of `code`, lower-case hex; the address of the artifact. */
  readonly sha256: string;
  /** Files of the job that went in, absolute paths, the entry among them, packages not. */
  readonly jobFiles: readonly string[];
  readonly warnings: readonly string[];
}

export interface BundleOptions {
  /** Packages left out and loaded where the job runs, beside those of `millrace.externals` in the nearest package.json. */
  readonly externals?: readonly string[];
}

/** What the first line of an artifact says. */
export interface ArtifactHeader {
  readonly format: 1;
  /** Name of the job file, for messages. */
  readonly entry: string;
  /** Directory that externals are looked up from. */
  readonly resolveFrom: string;
  readonly externals: readonly string[];
}

export const artifactHeaderPrefix = '/* millrace-artifact ';

/** Packages through which CommonJS packages find their native half at run time, invisible to a bundler. */
const nativeLoaders = ['bindings', 'node-gyp-build', 'node-gyp-build-optional-packages', '@mapbox/node-pre-gyp'];

let buildsActive = 0;

/**
 * Bundles a job file.
 * @param entryPath the job file, absolute or relative to the working directory
 * @throws EngineError USAGE when there is no such file, JOB_INVALID with file and line when it cannot be bundled
 */
export async function bundleJob(entryPath: string, options: BundleOptions = {}): Promise<JobBundle> {
  const entry = resolve(entryPath);
  requireFile(entry);
  const externals = [...new Set([...(options.externals ?? []), ...declaredExternals(dirname(entry))])].sort();
  const result = await build(entry, externals);
  refuseNativeLoaders(result.metafile, dirname(entry));
  const code = result.outputFiles?.find((file) => file.path.endsWith('.mjs'));
  const map = result.outputFiles?.find((file) => file.path.endsWith('.map'));
  if (code === undefined || map === undefined) {
    throw new EngineError('INTERNAL', `bundling ${entry} gave no output`, { domain: 'internal' });
  }
  const bytes = withInlineMap(code.text, map.text);
  return {
    code: bytes,
    sourceMap: map.text,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    jobFiles: jobFiles(result.metafile, dirname(entry)),
    warnings: result.warnings.map((warning) => describeMessage(warning, dirname(entry))),
  };
}

function requireFile(entry: string): void {
  const found = statSync(entry, { throwIfNoEntry: false });
  if (found === undefined) {
    throw new EngineError(
      'USAGE',
      `there is no job file ${entry} → check the path; it is resolved against ${process.cwd()}`,
      {
        ids: { file: entry },
      },
    );
  }
  if (!found.isFile()) {
    throw new EngineError(
      'USAGE',
      `${entry} is not a file → name the job file itself, for example ${join(entry, 'job.ts')}`,
      {
        ids: { file: entry },
      },
    );
  }
}

async function build(entry: string, externals: readonly string[]) {
  // Loaded here, not at the top: who only reads `--help` should not wait for it.
  const esbuild = await import('esbuild');
  buildsActive++;
  try {
    return await esbuild.build({ ...buildOptions(entry, externals), metafile: true });
  } catch (error) {
    throw bundleError(error, entry);
  } finally {
    buildsActive--;
    // The helper process of esbuild would keep a terminal's process group alive; the last build ends it.
    if (buildsActive === 0) await esbuild.stop();
  }
}

function buildOptions(entry: string, externals: readonly string[]): BuildOptions {
  const directory = dirname(entry);
  const header: ArtifactHeader = { format: 1, entry: basename(entry), resolveFrom: directory, externals };
  return {
    absWorkingDir: directory,
    entryPoints: [entry],
    outfile: join(directory, 'millrace-artifact.mjs'),
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'external',
    sourcesContent: false,
    sourceRoot: `${pathToFileURL(directory).href}/`,
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'silent',
    external: ['millrace', 'millrace/*', ...externals.flatMap((name) => [name, `${name}/*`])],
    banner: { js: `${artifactHeaderPrefix}${headerText(header)} */\n${requireBanner(entry)}` },
    define: {
      __dirname: '__millraceDirname',
      __filename: '__millraceFilename',
      'import.meta.url': '__millraceUrl',
      'import.meta.dirname': '__millraceDirname',
      'import.meta.filename': '__millraceFilename',
    },
  };
}

/** A comment must not be ended by what is in it. */
function headerText(header: ArtifactHeader): string {
  return JSON.stringify(header).replaceAll('*/', '*\\/');
}

/**
 * CommonJS dependencies ask for `require`, `__dirname` and `__filename`, which an ES module does not have. All of them,
 * and `import.meta.url`, speak of the job file and not of the place where the artifact happens to lie.
 */
function requireBanner(entry: string): string {
  return [
    `import { createRequire as __millraceCreateRequire } from 'node:module';`,
    `const __millraceFilename = ${JSON.stringify(entry)};`,
    `const __millraceDirname = ${JSON.stringify(dirname(entry))};`,
    `const __millraceUrl = ${JSON.stringify(pathToFileURL(entry).href)};`,
    `var require = __millraceCreateRequire(__millraceFilename);`,
  ].join('\n');
}

function withInlineMap(code: string, map: string): Uint8Array {
  const encoded = Buffer.from(map, 'utf8').toString('base64');
  return Buffer.from(`${code}//# sourceMappingURL=data:application/json;base64,${encoded}\n`, 'utf8');
}

/** `"millrace": { "externals": ["better-sqlite3"] }` of the nearest package.json. */
function declaredExternals(start: string): readonly string[] {
  for (let directory = start; ; directory = dirname(directory)) {
    const path = join(directory, 'package.json');
    if (existsSync(path)) return externalsOf(path);
    if (dirname(directory) === directory) return [];
  }
}

function externalsOf(path: string): readonly string[] {
  const content = parseJson(path) as { millrace?: { externals?: unknown } } | null;
  const externals = content?.millrace?.externals ?? [];
  if (!Array.isArray(externals) || externals.some((name) => typeof name !== 'string')) {
    throw new EngineError(
      'JOB_INVALID',
      `"millrace.externals" in ${path} is not a list of package names → write ["name", …]`,
      {
        ids: { file: path },
      },
    );
  }
  return externals as string[];
}

function parseJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new EngineError('JOB_INVALID', `${path} is not valid JSON → mend it; the job's externals are read from it`, {
      ids: { file: path },
      cause,
    });
  }
}

function refuseNativeLoaders(metafile: Metafile | undefined, directory: string): void {
  for (const [path, input] of Object.entries(metafile?.inputs ?? {})) {
    const loader = input.imports
      .map((entry) => packageOf(entry.path))
      .find((name) => name !== null && nativeLoaders.includes(name));
    const owner = packageOf(path);
    if (loader === undefined || owner === null || nativeLoaders.includes(owner)) continue;
    throw nativeModuleError(owner, relative(directory, join(directory, path)));
  }
}

function nativeModuleError(name: string, path: string): EngineError {
  return new EngineError(
    'JOB_INVALID',
    `the job uses the native module ${name}, which cannot be bundled → declare it: "millrace": { "externals": ["${name}"] } in package.json, or --external ${name}`,
    { ids: { package: name, file: path } },
  );
}

/** Name of the package a path lies in, null for a file of the job itself. */
function packageOf(path: string): string | null {
  const marker = 'node_modules/';
  const index = path.replaceAll('\\', '/').lastIndexOf(marker);
  if (index < 0) return null;
  const [scope = '', name = ''] = path.slice(index + marker.length).split('/');
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}

function jobFiles(metafile: Metafile | undefined, directory: string): readonly string[] {
  return Object.keys(metafile?.inputs ?? {})
    .filter((path) => packageOf(path) === null && !path.includes(':'))
    .map((path) => resolve(directory, path));
}

function bundleError(error: unknown, entry: string): EngineError {
  const messages = isBuildFailure(error) ? error.errors : [];
  const [first] = messages;
  if (first === undefined) {
    return new EngineError('JOB_INVALID', `bundling ${entry} failed: ${String(error)}`, {
      ids: { file: entry },
      cause: error,
    });
  }
  const native = /No loader is configured for "\.node" files: (.*)/.exec(first.text);
  if (native !== null)
    return nativeModuleError(packageOf(native[1] ?? '') ?? (native[1] as string), first.location?.file ?? entry);
  const more = messages.length > 1 ? ` (and ${messages.length - 1} more)` : '';
  const message = `the job cannot be bundled: ${describeMessage(first, dirname(entry))}${more} → ${remedyFor(first.text)}`;
  return new EngineError('JOB_INVALID', message, { ids: { file: entry } });
}

function remedyFor(text: string): string {
  const missing = /Could not resolve "([^"]+)"/.exec(text)?.[1];
  if (missing === undefined) return 'mend the file at that line';
  if (missing.startsWith('.') || missing.startsWith('/')) return 'check the path of the import';
  return `install it (npm install ${packageOf(`node_modules/${missing}`)}) or declare it in "millrace.externals"`;
}

/** With the file relative to where the user stands, as terminals link it. */
function describeMessage(message: Message, directory: string): string {
  const { location, text } = message;
  if (location === null) return text;
  const file = relative(process.cwd(), resolve(directory, location.file));
  return `${file}:${location.line}:${location.column + 1}: ${text}`;
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
