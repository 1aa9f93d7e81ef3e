import { describe, expect, test } from 'vitest';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import { ClusterMarker, stateDirectoryRecords } from './cluster-marker.ts';

const newObjects = (): LocalDirectoryStore => new LocalDirectoryStore('/storage', new MemoryFileSystem());

async function markedBy(objects: ObjectStore): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of objects.list('')) names.push(name);
  return names.sort();
}

/** Two steps of both in every order in which each keeps its own: 0 is the first cluster's. */
const orders = [
  [0, 0, 1, 1],
  [0, 1, 0, 1],
  [0, 1, 1, 0],
  [1, 0, 0, 1],
];

describe('the mark of a cluster', () => {
  test('is kept with the highest revision alone', async () => {
    const objects = newObjects();
    const marker = new ClusterMarker(objects);
    for (const revision of [3, 7, 5, 7]) await marker.note('a', revision);
    expect(await markedBy(objects)).toEqual(['cluster.id/a/7']);
    expect(await marker.owner()).toMatchObject({ clusterId: 'a', revision: 7 });
  });

  test('keeps a second cluster out, and is not moved by its try', async () => {
    const objects = newObjects();
    const marker = new ClusterMarker(objects);
    await marker.note('a', 1);
    await expect(marker.check('b', 9)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await expect(marker.note('b', 9)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await marker.check('a', 1);
  });

  test.each(orders)('is of one cluster at most when two look and mark in the order %i %i %i %i', async (...order) => {
    const objects = newObjects();
    // Each looks first, and marks only when its second turn comes.
    const turns = ['a', 'b'].map((clusterId) => {
      let steps = 0;
      const marker = new ClusterMarker(objects);
      return async (): Promise<string | null> => {
        if (steps < 0) return null;
        try {
          if (steps++ === 0) await marker.check(null, 0);
          else await marker.note(clusterId, 1);
          return steps === 2 ? clusterId : null;
        } catch {
          // It does not start.
          steps = -1;
          return null;
        }
      };
    });
    const winners: (string | null)[] = [];
    for (const turn of order) winners.push((await turns[turn]?.()) ?? null);
    expect(winners.filter((winner) => winner !== null)).toHaveLength(1);
    expect(await markedBy(objects)).toHaveLength(1);
  });

  test('is of nobody when both marked before either looked again, and the next try takes it', async () => {
    const objects = newObjects();
    // The second mark appears while the first is being made.
    const racing: ObjectStore = {
      root: objects.root,
      put: async (name, content) => {
        await objects.put('cluster.id/b/1', Buffer.from('b'));
        return await objects.put(name, content);
      },
      get: (object) => objects.get(object),
      openRead: (object) => objects.openRead(object),
      delete: (name) => objects.delete(name),
      list: (prefix) => objects.list(prefix),
    };
    await expect(new ClusterMarker(racing).note('a', 1)).rejects.toThrow(/belongs to cluster b, not to a →/);
    expect(await markedBy(objects)).toEqual(['cluster.id/b/1']);
  });

  test('says what records are too old or missing, by their name', async () => {
    const marker = new ClusterMarker(newObjects(), stateDirectoryRecords);
    await marker.note('a', 5);
    await expect(marker.check('a', 4)).rejects.toThrow(
      /last used by cluster a at epoch 5, but the state directory is at epoch 4: .*→ restore the newest backup of the state directory/,
    );
    await expect(marker.check(null, 1)).rejects.toThrow('the state directory knows nothing of it');
  });
});
