import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DirectoryContent,
  type DirectoryIdentity,
  decideStart,
  type GraphChange,
  parseIdentity,
  stateDirectoryFormatVersion,
  type WantedRun,
} from './state-directory-rules.ts';

const identity: DirectoryIdentity = {
  formatVersion: stateDirectoryFormatVersion,
  engineVersion: '0.1.0',
  jobName: 'delays',
  graphHash: 'hash-1',
  graph: { name: 'graphs/1.json', sha256: 'a' },
  functionsFingerprint: { map: '1' },
  artifact: { name: 'artifacts/1.mjs', sha256: 'b' },
  workingDirectory: '/jobs',
  phase: 'active',
};
const wanted: WantedRun = {
  directory: '/state',
  jobName: 'delays',
  graphHash: 'hash-1',
  functionsFingerprint: { map: '1' },
  fresh: false,
  upgrade: false,
};
const added = (): GraphChange => ({
  differences: ["operator 'b' was added"],
  state: [{ operatorId: 'b', kind: 'process', verdict: 'start-empty', reason: null }],
});
const none = (): GraphChange => ({ differences: [], state: [] });

function decide(found: DirectoryContent, changes: Partial<WantedRun> = {}, change: () => GraphChange = none) {
  return decideStart(found, { ...wanted, ...changes }, change);
}
const found = (changes: Partial<DirectoryIdentity> = {}): DirectoryContent => ({
  kind: 'identity',
  identity: { ...identity, ...changes },
});

function refusal(found: DirectoryContent, changes: Partial<WantedRun> = {}, change: () => GraphChange = none) {
  const decision = decide(found, changes, change);
  if (decision.kind !== 'refuse') throw new Error(`expected a refusal, got ${decision.kind}`);
  return decision.error;
}

describe('a state directory', () => {
  test('is started in when it is empty', () => {
    expect(decide({ kind: 'empty' })).toEqual({ kind: 'start', clear: false });
  });

  test.each(['active', 'stopped', 'failed', 'canceled'] as const)(
    'is resumed from when its last run is %s',
    (phase) => {
      expect(decide(found({ phase }))).toEqual({ kind: 'resume', changes: [], restorableGraphHashes: [] });
    },
  );

  test('is resumed from, naming the operator, when only function bodies changed', () => {
    const decision = decide(found(), { functionsFingerprint: { map: '2' } });
    expect(decision).toEqual({
      kind: 'resume',
      changes: [expect.stringContaining("'map'")],
      restorableGraphHashes: [],
    });
  });

  test('says so when its job has finished', () => {
    expect(decide(found({ phase: 'finished' }))).toEqual({ kind: 'already-finished' });
  });

  test('is cleared and started in when --fresh is given, whatever the graph and phase', () => {
    for (const phase of ['active', 'finished', 'failed'] as const) {
      expect(decide(found({ phase }), { fresh: true, graphHash: 'hash-2' })).toEqual({ kind: 'start', clear: true });
    }
  });

  test('is never resumed from when deleting it was begun', () => {
    expect(decide(found({ phase: 'clearing' }))).toEqual({ kind: 'start', clear: true });
    expect(decide(found({ phase: 'clearing' }), { graphHash: 'hash-2' })).toEqual({ kind: 'start', clear: true });
  });

  test('is refused with the differences when the graph changed', () => {
    const error = refusal(found(), { graphHash: 'hash-2' }, () => ({
      differences: ["operator 'a' was removed", "operator 'b' was added"],
      state: null,
    }));
    expect(error.code).toBe('GRAPH_CHANGED');
    expect(error.message).toContain("operator 'a' was removed");
    expect(error.message).toContain("operator 'b' was added");
    expect(error.message).toContain('--fresh');
  });

  test('is refused, naming --upgrade, when the changed graph can take the state over', () => {
    const error = refusal(found(), { graphHash: 'hash-2' }, added);
    expect(error.message).toContain("operator 'b' was added");
    expect(error.message).toMatch(/→ .*--upgrade/);
  });

  test('is resumed from by a changed graph when that was asked for and its state can be taken over', () => {
    const earlier = { restorableGraphHashes: ['hash-0'] };
    expect(decide(found(earlier), { graphHash: 'hash-2', upgrade: true }, added)).toEqual({
      kind: 'resume',
      changes: ["operator 'b' was added"],
      restorableGraphHashes: ['hash-0', 'hash-1'],
    });
  });

  test('is refused, naming the operator, when a changed graph cannot take its state over', () => {
    const verdict = { operatorId: 'a', kind: 'process', verdict: 'refused', reason: 'it is gone' } as const;
    const change = (): GraphChange => ({ differences: ["operator 'a' was removed"], state: [verdict] });
    const error = refusal(found(), { graphHash: 'hash-2', upgrade: true }, change);
    expect(error.code).toBe('GRAPH_CHANGED');
    expect(error.message).toContain("operator 'a': it is gone");
    expect(error.message).toMatch(/→ .*--fresh/);
  });

  test('is refused when the graph changed and the stored one cannot be read', () => {
    const change = (): GraphChange => ({ differences: ['what differs cannot be told'], state: null });
    expect(refusal(found(), { graphHash: 'hash-2', upgrade: true }, change).message).toContain('cannot be told');
  });

  test('is refused as changed, not taken as finished, when a finished job has another graph', () => {
    expect(refusal(found({ phase: 'finished' }), { graphHash: 'hash-2' }).code).toBe('GRAPH_CHANGED');
  });

  test('is refused when it belongs to another job, also with --fresh', () => {
    for (const fresh of [false, true]) {
      const error = refusal(found({ jobName: 'orders' }), { fresh });
      expect(error.code).toBe('STATE_DIRECTORY_FOREIGN');
      expect(error.message).toMatch(/orders.*delays/);
    }
  });

  test.each([
    { kind: 'foreign', names: ['notes.txt'] },
    { kind: 'headless' },
    { kind: 'unreadable', reason: 'it is not a JSON object' },
    { kind: 'newer', formatVersion: 99, engineVersion: '9.9.9' },
  ] as const)('is refused, also with --fresh, when it is $kind', (content) => {
    for (const fresh of [false, true]) {
      const error = refusal(content, { fresh });
      expect(error.code).toBe(content.kind === 'newer' ? 'STATE_DIRECTORY_VERSION' : 'STATE_DIRECTORY_FOREIGN');
      expect(error.message).toContain('/state');
      expect(error.message).toContain('→');
    }
  });
});

describe('parseIdentity', () => {
  test('gives back what was written', () => {
    expect(parseIdentity(JSON.stringify(identity))).toEqual({ kind: 'identity', identity });
  });

  test('refuses a newer format without looking at its fields', () => {
    const text = JSON.stringify({ formatVersion: stateDirectoryFormatVersion + 1, engineVersion: '2.0.0' });
    expect(parseIdentity(text)).toEqual({ kind: 'newer', formatVersion: 2, engineVersion: '2.0.0' });
  });

  test('names the field when one is missing', () => {
    for (const name of Object.keys(identity)) {
      const rest: Record<string, unknown> = { ...identity };
      delete rest[name];
      expect(parseIdentity(JSON.stringify(rest)), name).toEqual({
        kind: 'unreadable',
        reason: expect.stringContaining(name),
      });
    }
  });

  test('never throws and never invents an identity when the text is cut short', () => {
    const text = JSON.stringify(identity);
    fc.assert(
      fc.property(fc.nat(text.length - 1), (length) => {
        expect(parseIdentity(text.slice(0, length)).kind).toBe('unreadable');
      }),
    );
  });
});
