/** The job store on a real etcd. */
import { afterAll, beforeAll } from 'vitest';
import type { EtcdClient } from '../../jobmanager/etcd/etcd-client.ts';
import { EtcdTerm } from '../../jobmanager/etcd/etcd-job-store.test-support.ts';
import { jobStoreContract } from '../../jobmanager/store/job-store-contract.test-support.ts';
import { describeWithEtcd, EtcdServer } from '../support/etcd.ts';

describeWithEtcd('job stores', () => {
  let server: EtcdServer;
  let client: EtcdClient;
  beforeAll(async () => {
    server = await EtcdServer.start();
    client = server.client();
  });
  afterAll(async () => {
    client.close();
    await server.stop();
  });

  jobStoreContract('a real etcd', async () => {
    const term = await EtcdTerm.start(client);
    return { store: term.store(), reopen: async () => term.store(), leaderEpoch: term.leaderEpoch };
  });
});
