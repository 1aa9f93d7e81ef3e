import { connect } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { fixedTlsMaterial, type TlsMaterial, type TlsMaterialSource } from '../../core/tls-material.ts';
import { type Authority, makeAuthority } from '../../proto/rpc/grpc/certificates.test-support.ts';
import { batchOf } from '../../testing/exchange/batches.ts';
import { closeSlots, drain, ignore, pair, slot, until, valuesOf } from '../../testing/exchange/slots.ts';

afterEach(closeSlots);

let authority: Authority;
let good: TlsMaterialSource;
beforeAll(async () => {
  authority = await makeAuthority('millrace');
  good = fixedTlsMaterial(await authority.issue('task-manager'));
});

/** What dialing ends with. */
async function dialed(dialing: TlsMaterialSource | null, listening: TlsMaterialSource | null): Promise<unknown> {
  const receiver = await slot(1, { tls: listening });
  const sender = await slot(0, { tls: dialing });
  try {
    await sender.plane.connect(new Map([[1, receiver.endpoint]]));
    return null;
  } catch (error) {
    return error;
  } finally {
    expect(receiver.failures).toEqual([]);
    // The listening slot still takes who belongs there.
    if (listening === good) {
      const other = await slot(2, { tls: good });
      await other.plane.connect(new Map([[1, receiver.endpoint]]));
    }
  }
}

const fails = (code: string, ...texts: readonly string[]) => ({
  code,
  message: expect.stringMatching(new RegExp(texts.map((text) => `(?=.*${text})`).join(''), 's')),
});

test('records pass between slots with certificates of task managers, in order', async () => {
  const [sender, receiver] = await pair({ tls: good });
  const reader = receiver.plane.reader(0, 7, ignore);
  let index = 0;
  const pump = (): void => {
    while (writer.hasRoom && index < 20_000)
      writer.write({ kind: 'batch', batch: batchOf([index++, 'x'.repeat(100)]) });
    if (index === 20_000) {
      index += 1;
      writer.write({ kind: 'end' });
    }
  };
  const writer = sender.plane.writer(1, 7, 'map', pump);
  pump();
  const values = valuesOf(await drain(reader, 'end')).filter((value) => typeof value === 'number');
  expect(values).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
  expect([...sender.failures, ...receiver.failures]).toEqual([]);
});

describe('a slot that dials is refused', () => {
  test.each<[string, () => Promise<TlsMaterial>, string, readonly string[]]>([
    [
      'of another role',
      () => authority.issue('client'),
      'FORBIDDEN',
      ['not one of a task-manager but of client', 'certs issue --role task-manager'],
    ],
    ['of no role', () => authority.issue(), 'FORBIDDEN', ['but of no role']],
    [
      'of another cluster of the same authority',
      () => authority.issueForCluster('d', 'task-manager'),
      'TRANSPORT_FAILED',
      ['not one of cluster d but of millrace'],
    ],
    [
      'that has expired',
      () => authority.issueExpired('task-manager'),
      'UNAUTHENTICATED',
      ['has expired', 'certs rotate'],
    ],
  ])('with a certificate %s', async (_name, material, code, texts) => {
    expect(await dialed(fixedTlsMaterial(await material()), good)).toMatchObject(fails(code, ...texts));
  });

  test('with a certificate of another authority', async () => {
    const { cert, key } = await (await makeAuthority('millrace', 'impostor')).issue('task-manager');
    const impostor = fixedTlsMaterial({ ca: good.current().ca, cert, key });
    expect(await dialed(impostor, good)).toMatchObject(fails('UNAUTHENTICATED', 'not accepted', 'authority'));
  });

  test('without a certificate', async () => {
    const receiver = await slot(1, { tls: good });
    const { host, port } = receiver.endpoint;
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect({ host, port, ca: Buffer.from(good.current().ca), servername: 'localhost' });
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('error', reject);
      socket.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')));
    });
    expect(answer).toContain('UNAUTHENTICATED\nthe certificate is not accepted: none was shown');
    expect(receiver.failures).toEqual([]);
  });

  test('in clear by a slot with TLS, and with TLS by one in clear', async () => {
    expect(await dialed(null, good)).toMatchObject(fails('TRANSPORT_FAILED', 'if it wants TLS, give tls\\.ca'));
    expect(await dialed(good, null)).toMatchObject(fails('TRANSPORT_FAILED', 'it does not speak TLS'));
  });
});

describe('a slot that listens is not spoken to', () => {
  test.each<[string, () => Promise<TlsMaterial>, string]>([
    ['of another role', () => authority.issue('job-manager'), 'not one of a task-manager but of job-manager'],
    [
      'of another cluster',
      () => authority.issueForCluster('d', 'task-manager'),
      'not one of cluster millrace but of d',
    ],
    [
      'of another authority',
      async () => (await makeAuthority('millrace', 'x')).issue('task-manager'),
      'not of the authority',
    ],
    ['that has expired', () => authority.issueExpired('task-manager'), 'its certificate has expired'],
  ])('when its certificate is one %s', async (_name, material, text) => {
    expect(await dialed(good, fixedTlsMaterial(await material()))).toMatchObject(fails('TRANSPORT_FAILED', text));
  });
});

test('renewed certificates are used for new connections while the old ones go on', async () => {
  let material = await authority.issue('task-manager');
  const listeners = new Set<() => void>();
  const renewable: TlsMaterialSource = {
    current: () => material,
    watch: (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
  };
  const receiver = await slot(1, { tls: renewable });
  const sender = await slot(0, { tls: renewable });
  await sender.plane.connect(new Map([[1, receiver.endpoint]]));
  const next = await makeAuthority('millrace', 'next');
  material = await next.issue('task-manager');
  for (const changed of listeners) changed();
  const renewed = await slot(2, { tls: fixedTlsMaterial(material) });
  await renewed.plane.connect(new Map([[1, receiver.endpoint]]));
  const old = await slot(3, { tls: good });
  await expect(old.plane.connect(new Map([[1, receiver.endpoint]]))).rejects.toMatchObject({
    code: 'TRANSPORT_FAILED',
  });
  const reader = receiver.plane.reader(0, 1, ignore);
  const writer = sender.plane.writer(1, 1, 'map', ignore);
  writer.write({ kind: 'batch', batch: batchOf(['still here']) });
  writer.write({ kind: 'end' });
  expect(valuesOf(await drain(reader, 'end'))).toEqual(['still here']);
  await closeSlots();
  await until(() => listeners.size === 0, 'nobody watches');
});
