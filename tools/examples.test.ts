/** Every part of the stream API is shown in a runnable example and told of in a guide page, and every example is in the README. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';
import * as api from '../client/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Exports that are no part of a stream: looking at plans, errors and types of what was built. */
const aside: ReadonlySet<string> = new Set([
  'planJob',
  'renderPlan',
  'EngineError',
  'isEngineError',
  'isJobDefinition',
  'describeFunctionDifference',
  'describeGraphDifference',
  'describeParameterDifference',
  'functionsFingerprint',
  'graphHash',
]);

/** Names of functions that `millrace` exports: windows, triggers, evictors, watermark strategies, state kinds, aggregates. */
const exportedNames = Object.keys(api).filter((name) => !aside.has(name));

/** Methods of the interfaces that definitions are made of. */
function methodNames(): readonly string[] {
  const names = new Set<string>();
  for (const file of readdirSync(join(root, 'client/streams')).filter((name) => name.endsWith('-types.ts'))) {
    const source = ts.createSourceFile(file, read(`client/streams/${file}`), ts.ScriptTarget.Latest, false);
    source.forEachChild((node) => {
      if (!ts.isInterfaceDeclaration(node) || !/Streams?$/.test(node.name.text)) return;
      for (const member of node.members)
        if (ts.isMethodSignature(member) && ts.isIdentifier(member.name)) names.add(member.name.text);
    });
  }
  return [...names];
}

function textOf(folder: string, extension: string): string {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension) && !/(^|\/)(out|node_modules)\/|\.test\.ts$/.test(name))
    .map((name) => read(`${folder}/${name}`))
    .join('\n');
}

/** Those names that no call in the text has. A type argument may stand between; a method may be named with its dot alone. */
const notCalledIn = (text: string, names: readonly string[]): readonly string[] =>
  names.filter((name) => !new RegExp(`\\b${name}(<[^()]*>)?\\(|\`(\\.?\\w+\\.)?${name}\``).test(text)).sort();

const examples = textOf('examples', '.ts');
const guide = textOf('docs/guide', '.md');

test('there are names to look for', () => {
  expect(exportedNames).toEqual(
    expect.arrayContaining(['tumbling', 'countEvictor', 'operatorListState', 'punctuated']),
  );
  expect(methodNames()).toEqual(expect.arrayContaining(['keyBy', 'evictor', 'windowAll', 'asyncFlatMap', 'late']));
  expect(notCalledIn('tumbling(1) and `sliding`', ['tumbling', 'sliding', 'session'])).toEqual(['session']);
});

test('every function and stream method is called in an example', () => {
  expect(notCalledIn(examples, [...exportedNames, ...methodNames()])).toEqual([]);
});

test('every function that millrace exports for streams is in a guide page', () => {
  expect(notCalledIn(guide, exportedNames)).toEqual([]);
});

test('every method of a stream is in a guide page', () => {
  expect(notCalledIn(guide, methodNames())).toEqual([]);
});

test('every example is named in the README', () => {
  const readme = read('README.md');
  const files = readdirSync(join(root, 'examples')).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.test.ts'),
  );
  expect(files.length).toBeGreaterThan(10);
  for (const name of files) expect(readme).toContain(`(examples/${name})`);
});
