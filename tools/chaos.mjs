/** npm run chaos: installs and builds what is missing, then chaos rounds on a cluster; arguments as in cluster-tests/cluster/chaos-main.ts. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';
import { ensureEtcd } from './install-etcd.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

ensureInstalled();
ensureEtcd();
const build = spawnSync(process.execPath, [join(root, 'tools/build.mjs')], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});
if (build.status !== 0) process.exit(build.status ?? 1);
const args = [join(root, 'dist/cluster-tests/cluster/chaos-main.js'), ...process.argv.slice(2)];
const run = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
process.exit(run.status ?? 1);
