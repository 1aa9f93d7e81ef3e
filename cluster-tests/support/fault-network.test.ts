import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { anybody, type Endpoint, FaultNetwork, hasFaultNetwork } from './fault-network.ts';

const suite = hasFaultNetwork ? describe : describe.skip;

suite('a network that fails', () => {
  let server: Server;
  let accepted: Socket[];
  let network: FaultNetwork;
  let at: Endpoint;

  beforeEach(async () => {
    accepted = [];
    server = createServer((socket) => accepted.push(socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    // Whatever this process dials comes from "a".
    network = new FaultNetwork(() => new Map([['a', process.pid]]));
    at = await network.listen('b', { host: '127.0.0.1', port: 0 }, { host: '127.0.0.1', port });
  });

  afterEach(async () => {
    for (const socket of accepted) socket.destroy();
    await network.close();
    server.close();
  });

  /** A connection through the network, and its other end. */
  async function dial(): Promise<{ readonly here: Socket; readonly there: Socket }> {
    const arrived = once(server, 'connection');
    const here = connect(at);
    // A reset is seen as 'close'; tests look at that.
    here.on('error', () => undefined);
    const [there] = (await arrived) as [Socket];
    there.on('error', () => undefined);
    return { here, there };
  }

  // events.once would reject with the reset.
  const closeOf = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));
  const textOf = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]);

  test('bytes and ends pass both ways when nothing is spoiled, and it is known who dialed', async () => {
    const { here, there } = await dial();
    here.write('ping');
    expect(await textOf(there)).toBe('ping');
    expect(network.connections()).toEqual([{ from: 'a', to: 'b', bytes: 4 }]);
    const closed = closeOf(here);
    here.end();
    there.end('pong');
    expect(await textOf(here)).toBe('pong');
    await closed;
  });

  test.each([
    ['a', 'b'],
    [anybody, 'b'],
    ['a', anybody],
  ])('what is cut from %s to %s arrives when it is healed, and the other way is open', async (from, to) => {
    const { here, there } = await dial();
    network.cut(from, to);
    let arrived = '';
    there.on('data', (chunk: Buffer) => {
      arrived += chunk.toString();
    });
    here.write('held');
    there.write('back');
    expect(await textOf(here)).toBe('back');
    expect(arrived).toBe('');
    network.heal();
    await once(there, 'data');
    expect(arrived).toBe('held');
  });

  test('a connection that is dialed while either way is cut stands when it is healed', async () => {
    network.cut('b', 'a');
    const here = connect(at);
    await once(here, 'connect');
    here.write('first');
    expect(accepted).toEqual([]);
    const arrived = once(server, 'connection');
    network.heal();
    const [there] = (await arrived) as [Socket];
    expect(await textOf(there)).toBe('first');
    here.destroy();
  });

  test('a reset comes after exactly so many bytes, once, on both sides', async () => {
    network.resetAfter('a', 'b', 6);
    const { here, there } = await dial();
    const arrived = textOf(there);
    const closed = Promise.all([closeOf(here), closeOf(there)]);
    here.write('0123456789');
    expect(await arrived).toBe('012345');
    await closed;
    expect(network.isArmed('a', 'b')).toBe(false);
    const next = await dial();
    next.here.write('again');
    expect(await textOf(next.there)).toBe('again');
  });

  test('connections are refused until it is healed', async () => {
    const { here } = await dial();
    const closed = closeOf(here);
    network.refuse('b');
    await closed;
    const refused = connect(at);
    refused.on('error', () => undefined);
    await closeOf(refused);
    network.heal();
    const { here: open, there } = await dial();
    open.write('open');
    expect(await textOf(there)).toBe('open');
  });
});
